//! Where panels stand.

use serde_json::{Value, json};

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

/// Panels from left to right, line by line.
#[derive(Default)]
pub(super) struct Layout {
    panels: Vec<Value>,
    x: u64,
    y: u64,
    /// Of the line that is being filled.
    height: u64,
}

impl Layout {
    /// Puts a panel beside the last one, or below if there is no room.
    pub(super) fn place(&mut self, width: u64, height: u64, mut panel: Value) {
        if self.x + width > WIDTH {
            self.end_line();
        }
        panel["gridPos"] = json!({ "x": self.x, "y": self.y, "w": width, "h": height });
        panel["id"] = json!(self.panels.len() + 1);
        self.panels.push(panel);
        self.x += width;
        self.height = self.height.max(height);
    }

    /// Begins a row under a title, which is shown once for each value of a variable.
    pub(super) fn row(&mut self, title: &str, repeat: Option<&str>) {
        self.end_line();
        let mut row = json!({ "type": "row", "title": title, "collapsed": false, "panels": [] });
        if let Some(variable) = repeat {
            row["repeat"] = json!(variable);
        }
        self.place(WIDTH, 1, row);
    }

    fn end_line(&mut self) {
        self.y += self.height;
        (self.x, self.height) = (0, 0);
    }

    pub(super) fn panels(&self) -> &[Value] {
        &self.panels
    }
}

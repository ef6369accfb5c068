//! What is on the screen: what limits, the stages in the order of the flow, and more of one of them.

use gristmill_runtime::view::RunView;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, TableState, Wrap};

use super::parts::{bar, details, edges, head, is_limit, rates, stage_name, workers};
use super::screen::Key;

const HELP: &str = "q       leave
↑ ↓ j k choose a stage
Enter   more of it
Esc     back to the table
?       these keys

█ busy   ▒ blocked   · waiting";

/// What is chosen.
#[derive(Debug, Default)]
pub struct Shown {
    table: TableState,
    details: bool,
    help: bool,
}

impl Shown {
    /// A key was pressed.
    pub fn press(&mut self, key: Key) {
        match key {
            Key::Up => self.table.select_previous(),
            Key::Down => self.table.select_next(),
            Key::Details => {
                if self.table.selected().is_none() {
                    self.table.select(Some(0));
                }
                self.details = !self.details;
            }
            Key::Help => self.help = !self.help,
            Key::Back => (self.details, self.help) = (false, false),
            Key::Quit | Key::Interrupt | Key::Again => {}
        }
    }

    /// Draws a view, with a note if there is one, and the last lines of the log.
    pub fn draw(
        &mut self,
        frame: &mut Frame<'_>,
        view: &RunView,
        note: Option<&str>,
        log: &[String],
    ) {
        if let Some(selected) = self.table.selected() {
            self.table.select(Some(selected.min(view.stages.len().saturating_sub(1))));
        }
        let area = frame.area();
        let words = Paragraph::new(view.limit.words.as_str()).wrap(Wrap { trim: true });
        let lines = lines(&view.limit.words, area.width).min((area.height / 3).max(1));
        let below = u16::try_from(log.len()).unwrap_or(u16::MAX).min(area.height / 4);
        let [top, limit, middle, bottom, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(lines),
            Constraint::Min(1),
            Constraint::Length(below),
            Constraint::Length(1),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(head(view)), top);
        frame.render_widget(words, limit);
        match (self.details, self.table.selected()) {
            (true, Some(stage)) if stage < view.stages.len() => {
                let block = Block::bordered().title(format!(" {} ", view.stages[stage].name));
                let text = Paragraph::new(details(view, stage)).wrap(Wrap { trim: false });
                frame.render_widget(text.block(block), middle);
            }
            _ => self.stages(frame, view, middle),
        }
        let log: Vec<Line<'_>> = log.iter().map(|line| Line::raw(line.as_str())).collect();
        frame.render_widget(Paragraph::new(log), bottom);
        let keys = note.unwrap_or("q leave  ↑↓ choose  Enter more  ? keys");
        let style = match note {
            Some(_) => Style::new().add_modifier(Modifier::REVERSED),
            None => Style::new().add_modifier(Modifier::DIM),
        };
        frame.render_widget(Paragraph::new(keys).style(style), foot);
        if self.help {
            help(frame, area);
        }
    }

    fn stages(&mut self, frame: &mut Frame<'_>, view: &RunView, area: Rect) {
        let names = view.stages.iter().map(|stage| stage.name.chars().count() + 2).max();
        let name = u16::try_from(names.unwrap_or(0)).unwrap_or(u16::MAX).clamp(8, 24);
        // What does not fit goes: first the workers, then the channel, then the width of the bar.
        let wide = [area.width >= 80, area.width >= 60];
        let bars = if area.width >= 110 {
            30
        } else if wide[1] {
            20
        } else {
            10
        };
        let mut widths = vec![Constraint::Length(name), Constraint::Length(11)];
        widths.push(Constraint::Length(bars));
        widths.push(Constraint::Length(5));
        if wide[1] {
            widths.push(Constraint::Length(6));
        }
        if wide[0] {
            widths.push(Constraint::Min(20));
        }
        let row = |(id, stage): (usize, &gristmill_runtime::view::StageView)| {
            let limits = is_limit(view, id);
            let mut cells: Vec<Line<'_>> = vec![
                Line::raw(stage_name(stage, limits)),
                Line::raw(rates(stage)).right_aligned(),
                bar(stage.recent.times, usize::from(bars)),
                Line::raw(crate::figures::percent(stage.recent.times.busy)).right_aligned(),
            ];
            if wide[1] {
                cells.push(Line::raw(edges(view, id)).right_aligned());
            }
            if wide[0] {
                cells.push(Line::raw(workers(stage)));
            }
            let style = if limits { Style::new().bold() } else { Style::new() };
            Row::new(cells).style(style)
        };
        let mut head = vec!["stage", "rows/s", "█busy▒blocked·", "busy"];
        if wide[1] {
            head.push("queue");
        }
        if wide[0] {
            head.push("runs as");
        }
        let rows = view.stages.iter().enumerate().map(row);
        let table = Table::new(rows, widths)
            .header(Row::new(head).style(Style::new().add_modifier(Modifier::UNDERLINED)))
            .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
        frame.render_stateful_widget(table, area, &mut self.table);
    }
}

/// Lines of a text on so many columns, about.
fn lines(text: &str, width: u16) -> u16 {
    let letters = text.chars().count();
    // Words do not fill lines to their end.
    let filled = usize::from(width).saturating_sub(6).max(10);
    u16::try_from(letters.div_ceil(filled)).unwrap_or(u16::MAX).max(1)
}

fn help(frame: &mut Frame<'_>, area: Rect) {
    let (width, height) = (34.min(area.width), 9.min(area.height));
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), place);
}

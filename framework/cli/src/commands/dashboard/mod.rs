//! `gristmill dashboard`: what Grafana and Prometheus need to watch a pipeline.

mod layout;
mod panel;
mod query;

use gristmill_stage::Kind;
use serde_json::{Value, json};

use self::layout::Layout;
use self::query::Selector;
use super::Loaded;
use crate::args::Dashboard;
use crate::exit::Exit;
use crate::kinds::built_in;

/// The alerts. They hold for every pipeline.
const RULES: &str = include_str!("rules.yml");

/// Prints a dashboard, the alerts, or the job that scrapes.
pub fn dashboard(args: &Dashboard) -> Exit {
    if args.rules {
        return super::print(RULES);
    }
    if args.prometheus {
        return super::print(&scrape_job(&args.targets));
    }
    let dashboard = match &args.file {
        None => general(),
        Some(file) => {
            let Loaded { plan, registry, .. } = match super::plan(file, &args.set, &args.search) {
                Ok(loaded) => loaded,
                Err(exit) => return exit,
            };
            let mut layout = Layout::default();
            overview(&mut layout, &Selector::pipeline(&plan.name));
            for stage in &plan.stages {
                let title = format!("{}: {}, {}", stage.name, stage.kind, stage.mode.name());
                layout.row(&title, None);
                let selector = Selector::stage(&plan.name, &stage.name);
                self::stage(&mut layout, &selector);
                if let Some(kind) = registry.get(&stage.kind) {
                    readings(&mut layout, &**kind, &selector);
                }
            }
            page(&plan.name, &format!("Gristmill: {}", plan.name), &layout, Vec::new())
        }
    };
    super::print(&format!("{dashboard:#}\n"))
}

/// A dashboard for any pipeline, which is chosen in Grafana, with a row for each of its stages.
fn general() -> Value {
    let mut layout = Layout::default();
    let all = Selector::pipeline("$pipeline");
    overview(&mut layout, &all);
    for kind in built_in().iter().filter(|kind| !kind.readings().is_empty()) {
        layout.row(&format!("All of kind {}", kind.name()), None);
        readings(&mut layout, &**kind, &all);
    }
    layout.row("$stage", Some("stage"));
    stage(&mut layout, &Selector::stage("$pipeline", "$stage"));
    let pipelines = query::label_values("pipeline", &Selector::any());
    let stages = query::label_values("stage", &Selector::pipeline("$pipeline"));
    let variables = vec![
        variable("pipeline", "Pipeline", &pipelines, false),
        variable("stage", "Stage", &stages, true),
    ];
    page("general", "Gristmill", &layout, variables)
}

/// What is to be seen at first.
fn overview(layout: &mut Layout, of: &Selector) {
    layout.place(6, 4, panel::bottleneck(of));
    layout.place(6, 4, panel::rows_per_second(of));
    layout.place(6, 4, panel::rejected_share(of));
    layout.place(6, 4, panel::deaths(of));
    layout.place(12, 8, panel::throughput_by_stage(of));
    layout.place(12, 8, panel::utilisation_by_stage(of));
    layout.place(12, 8, panel::processors_by_stage(of));
    layout.place(12, 8, panel::memory_of_all(of));
}

/// What is to be seen of a stage.
fn stage(layout: &mut Layout, of: &Selector) {
    layout.place(8, 7, panel::throughput(of));
    layout.place(8, 7, panel::time_split(of));
    layout.place(8, 7, panel::queue_fill(of));
    layout.place(8, 7, panel::latency(of));
    layout.place(8, 7, panel::errors(of));
    layout.place(8, 7, panel::processor(of));
    layout.place(8, 7, panel::by_worker(of));
    layout.place(8, 7, panel::memory(of));
}

/// What only stages of a kind have to tell.
fn readings(layout: &mut Layout, kind: &dyn Kind, of: &Selector) {
    for reading in kind.readings() {
        layout.place(8, 7, panel::reading(of, kind.name(), reading));
    }
}

/// The whole dashboard, as Grafana imports it.
fn page(id: &str, title: &str, layout: &Layout, mut variables: Vec<Value>) -> Value {
    let instances = query::label_values("instance", &Selector::any());
    variables.insert(
        0,
        json!({ "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus" }),
    );
    variables.push(variable("instance", "Instance", &instances, true));
    json!({
        "uid": uid(id),
        "title": title,
        "tags": ["gristmill"],
        "schemaVersion": 39,
        "editable": true,
        "graphTooltip": 1,
        "refresh": "5s",
        "time": { "from": "now-15m", "to": "now" },
        "timezone": "browser",
        "templating": { "list": variables },
        "annotations": { "list": [] },
        "panels": layout.panels(),
    })
}

/// A name by which Grafana knows the dashboard again: at most 40 letters of a small alphabet.
fn uid(id: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    format!("gristmill-{}", id.chars().take(30).map(plain).collect::<String>())
}

fn variable(name: &str, label: &str, query: &str, many: bool) -> Value {
    let mut variable = json!({
        "name": name,
        "label": label,
        "type": "query",
        "datasource": panel::datasource(),
        "query": { "query": query, "refId": name },
        "refresh": 2,
        "sort": 1,
        "multi": many,
        "includeAll": many,
    });
    if many {
        variable["allValue"] = json!(".*");
        variable["current"] = json!({ "text": ["All"], "value": ["$__all"] });
    }
    variable
}

/// What goes under `scrape_configs` of Prometheus.
fn scrape_job(targets: &[String]) -> String {
    let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
    format!(
        "# goes under `scrape_configs` of prometheus.yml\n\
         - job_name: gristmill\n  \
         scrape_interval: 5s\n  \
         static_configs:\n    \
         - targets: [{}]\n",
        targets.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_do_not_overlap_and_have_numbers_of_their_own() {
        let dashboard = general();
        let panels = dashboard["panels"].as_array().expect("panels");
        let place = |panel: &Value, key: &str| panel["gridPos"][key].as_u64().expect("a place");
        for (n, panel) in panels.iter().enumerate() {
            assert!(place(panel, "x") + place(panel, "w") <= 24, "{panel}");
            for other in &panels[..n] {
                assert_ne!(panel["id"], other["id"]);
                let apart = |start: &str, length: &str| {
                    place(panel, start) + place(panel, length) <= place(other, start)
                        || place(other, start) + place(other, length) <= place(panel, start)
                };
                assert!(apart("x", "w") || apart("y", "h"), "{panel} covers {other}");
            }
        }
    }

    #[test]
    fn names_become_identifiers() {
        assert_eq!(uid("Shop prices/ü"), "gristmill-shop-prices--");
        assert_eq!(uid(&"x".repeat(100)).len(), 40);
    }
}

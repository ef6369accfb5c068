//! Stages, rejected rows and the pipeline's own text must not get into each other's files.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gristmill_stage::path::check_append;

use crate::Source;
use crate::check::Checked;
use crate::document::{Declared, Document};
use crate::graph::Graph;
use crate::node::{Data, Node};
use crate::plan::RejectedPlan;
use crate::problem::Problem;
use crate::span::Span;
use crate::words::RejectedWords;

/// Links that may point to links.
const LINKS: usize = 32;

/// Finds who gets into whose file, and says where rejected rows go. Looks at the names of files
/// only, and changes nothing.
pub(crate) fn check_files(
    source: &Source,
    document: &Document<'_>,
    graph: &Graph,
    checked: &[Option<Checked>],
    problems: &mut Vec<Problem>,
) -> RejectedPlan {
    // An error elsewhere may hide a stage, or an edge between two.
    let sound = problems.is_empty();
    let rejected = rejected(source, document, graph, checked);
    let mut files = Files {
        stages: &document.stages,
        graph,
        checked,
        own: source.file().map(resolve),
        here: resolve(Path::new(".")),
        writers: HashMap::new(),
        problems,
    };
    files.writers();
    if sound {
        files.readers();
    }
    let said = document.rejected.as_ref().and_then(RejectedWords::path);
    let mark = said.and(document.rejected_at);
    if sound || said.is_some() {
        files.rejected(&rejected.path, mark);
    }
    rejected
}

/// Where rejected rows go: as the pipeline says, or beside the first file that a stage writes.
fn rejected(
    source: &Source,
    document: &Document<'_>,
    graph: &Graph,
    checked: &[Option<Checked>],
) -> RejectedPlan {
    let (path, limit) = match &document.rejected {
        None => (None, None),
        Some(RejectedWords::Path(path)) => (Some(path), None),
        Some(RejectedWords::Limited(file)) => (file.path.as_ref(), file.limit),
    };
    let path = path.map(PathBuf::from).unwrap_or_else(|| {
        let checked = graph.order.iter().filter_map(|index| checked.get(*index)?.as_ref());
        let mut beside = checked.flat_map(|checked| &checked.planned.writes);
        let folder = beside.find(|path| !path.starts_with("/dev")).and_then(|path| path.parent());
        let name = document.name.clone().unwrap_or_else(|| source.stem());
        folder.unwrap_or(Path::new("")).join(format!("{name}.rejected.jsonl"))
    });
    RejectedPlan { path, limit }
}

struct Files<'a> {
    stages: &'a [Declared<'a>],
    graph: &'a Graph,
    checked: &'a [Option<Checked>],
    /// The file that the pipeline stands in.
    own: Option<PathBuf>,
    /// The folder that the command runs in.
    here: PathBuf,
    /// Who writes each file, and where that is said.
    writers: HashMap<PathBuf, (&'a Declared<'a>, Span)>,
    problems: &'a mut Vec<Problem>,
}

impl<'a> Files<'a> {
    fn each(&self) -> impl Iterator<Item = (&'a Declared<'a>, &'a Checked)> + use<'a> {
        let both = self.stages.iter().zip(self.checked);
        both.filter_map(|(stage, checked)| Some((stage, checked.as_ref()?)))
    }

    /// Two that write one file would undo each other's work.
    fn writers(&mut self) {
        for (stage, checked) in self.each() {
            for path in checked.planned.writes.iter().filter(|path| !is_device(path)) {
                let (mark, path) = (place(stage, path), resolve(path));
                if self.own.as_ref() == Some(&path) {
                    let message = format!("`{}` writes over the pipeline itself", stage.name);
                    self.problems.push(Problem::at(mark, message).help("give it another path"));
                }
                let shown = self.show(&path);
                let Some((other, first)) = self.writers.insert(path, (stage, mark)) else {
                    continue;
                };
                let message = format!("`{}` and `{}` both write {shown}", other.name, stage.name);
                let problem = Problem::at(mark, message).also(first, "the other");
                self.problems.push(problem.help("give one another path"));
            }
        }
    }

    /// A stage may write what stages above it read: a file stays as it was until all rows have come
    /// in. Of other stages nobody knows who comes first.
    fn readers(&mut self) {
        for (index, (stage, checked)) in self.stages.iter().zip(self.checked).enumerate() {
            for path in checked.iter().flat_map(|checked| &checked.planned.reads) {
                if self.writers.is_empty() || is_device(path) {
                    continue;
                }
                let resolved = resolve(path);
                let Some((writer, first)) = self.writers.get(&resolved).copied() else { continue };
                let at = self.stages.iter().position(|one| std::ptr::eq(one, writer));
                if at.is_none_or(|writer| self.graph.feeds(index, writer)) {
                    continue;
                }
                let (shown, writer) = (self.show(&resolved), &writer.name);
                let message = format!("`{}` reads {shown} while `{writer}` writes it", stage.name);
                self.problems.push(
                    Problem::at(place(stage, path), message)
                        .also(first, "written here")
                        .help(format!("let `{writer}` take its rows from `{}`", stage.name))
                        .help("or make two pipelines of it, one run after the other"),
                );
            }
        }
    }

    /// Rejected rows are added to their file at any time. `mark` is where the path is said.
    fn rejected(&mut self, path: &Path, mark: Option<Span>) {
        if let (Some(mark), Err(error)) = (mark, check_append(path)) {
            let problem = Problem::at(mark, error.message());
            self.problems.push(match error.help_text() {
                Some(help) => problem.help(help),
                None => problem,
            });
        }
        if is_device(path) {
            return;
        }
        let resolved = resolve(path);
        let shown = self.show(&resolved);
        let help = match mark {
            Some(_) => "give them another path",
            None => "say where else, with `rejected: FILE`",
        };
        if self.own.as_ref().is_some_and(|own| is_one(own, &resolved)) {
            let message = "the rejected rows would be added to the pipeline itself";
            let place = mark.unwrap_or(Span::new(0, 0));
            self.problems.push(Problem::at(place, message).help(help));
        }
        let mut wrong = |at: Span, message: String| {
            let problem = Problem::at(mark.unwrap_or(at), message);
            let problem = match mark {
                Some(_) => problem.also(at, "here"),
                None => problem,
            };
            self.problems.push(problem.help(help));
        };
        if let Some((writer, at)) = self.writers.get(&resolved) {
            let name = &writer.name;
            wrong(*at, format!("the rejected rows would go to {shown}, which `{name}` writes"));
        }
        for (stage, checked) in self.stages.iter().zip(self.checked) {
            let reads = checked.iter().flat_map(|checked| &checked.planned.reads);
            for path in reads.filter(|path| is_one(&resolve(path), &resolved)).take(1) {
                let name = &stage.name;
                let message =
                    format!("the rejected rows would be added to {shown}, which `{name}` reads");
                wrong(place(stage, path), message);
            }
        }
    }

    fn show(&self, path: &Path) -> String {
        path.strip_prefix(&self.here).unwrap_or(path).display().to_string()
    }
}

/// Where a stage says this path; the stage itself when it says it in other words.
fn place(stage: &Declared<'_>, path: &Path) -> Span {
    let mut open: Vec<&Node> = stage.node.get("with").into_iter().collect();
    while let Some(node) = open.pop() {
        match &node.data {
            Data::Scalar(_) if node.text().map(Path::new) == Some(path) => return node.span,
            Data::List(items) => open.extend(items.iter()),
            Data::Map(entries) => open.extend(entries.iter().map(|entry| &entry.value)),
            Data::Scalar(_) | Data::Unknown => {}
        }
    }
    stage.mark
}

/// Whether it is a terminal, `/dev/null` or the like, which any number may share.
fn is_device(path: &Path) -> bool {
    path.starts_with("/dev") && path.exists() && !path.is_file()
}

/// Whether adding to one file changes the other: they are the same, or hard links to the same.
/// Both names are resolved.
fn is_one(one: &Path, other: &Path) -> bool {
    let same = || {
        let (one, other) = (one.metadata().ok()?, other.metadata().ok()?);
        Some((one.dev(), one.ino()) == (other.dev(), other.ino()))
    };
    one == other || same().unwrap_or(false)
}

/// The one name of a file, however it is spelled: links are followed, `.` and `..` taken out, also
/// where nothing stands yet.
fn resolve(path: &Path) -> PathBuf {
    follow(path, LINKS)
}

fn follow(path: &Path, links: usize) -> PathBuf {
    if let Ok(whole) = path.canonicalize() {
        return whole;
    }
    let mut whole = PathBuf::new();
    for part in std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).components() {
        if part == std::path::Component::ParentDir {
            whole.pop();
            continue;
        }
        whole.push(part);
        if let Ok(real) = whole.canonicalize() {
            whole = real;
        } else if let (Ok(to), Some(links)) = (whole.read_link(), links.checked_sub(1)) {
            whole.pop();
            whole = follow(&whole.join(to), links);
        }
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_has_one_name() {
        use std::os::unix::fs::symlink;
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(base.join("real/in")).unwrap();
        symlink("real", base.join("link")).unwrap();
        symlink("link/in/new", base.join("dangling")).unwrap();
        symlink("round", base.join("round")).unwrap();
        for (spelled, name) in [
            ("real/in/new", "real/in/new"),
            ("./real/./in//new", "real/in/new"),
            ("missing/../real/in/new", "real/in/new"),
            ("link/in/new", "real/in/new"),
            ("link/in/../in/new", "real/in/new"),
            ("link/../real/in/new", "real/in/new"),
            ("dangling", "real/in/new"),
            ("missing/new", "missing/new"),
        ] {
            assert_eq!(resolve(&base.join(spelled)), base.join(name), "{spelled}");
        }
        assert!(resolve(&base.join("round")).starts_with(&base));
    }
}

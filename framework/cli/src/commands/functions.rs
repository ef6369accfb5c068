//! `gristmill functions`.

use std::fmt::{self, Write};

use gristmill_sql::{Family, Function, functions as all_functions, nearest_function};

use crate::args::Functions;
use crate::exit::Exit;
use crate::say::say;

/// Lists the functions that expressions may use, or explains one.
pub fn functions(args: &Functions) -> Exit {
    let all = all_functions();
    let mut text = String::new();
    let Some(name) = &args.name else {
        // Writing into a string does not fail.
        let _ = list(&all, &mut text);
        return super::print(&text);
    };
    let wanted = name.to_lowercase();
    let named = |function: &&Function| {
        function.name == wanted
            || function.aliases.iter().any(|alias| alias.to_lowercase() == wanted)
    };
    let found: Vec<&Function> = all.iter().filter(named).collect();
    if found.is_empty() {
        let help = match nearest_function(&wanted) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`gristmill functions` lists them".to_owned(),
        };
        say(format!("error: there is no function `{name}`\nhelp: {help}"));
        return Exit::BadConfiguration;
    }
    for function in found {
        let _ = explain(function, &mut text);
    }
    super::print(&text)
}

fn list(all: &[Function], out: &mut String) -> fmt::Result {
    let mut heading = None;
    for function in all {
        let section = (function.family, function.section.as_str());
        if heading != Some(section) {
            let before = if heading.is_some() { "\n" } else { "" };
            writeln!(out, "{before}{}\n", title(function))?;
            heading = Some(section);
        }
        let says = first_sentence(&function.description);
        writeln!(out, "  {}", format!("{:<26} {says}", function.name).trim_end())?;
    }
    writeln!(
        out,
        "\n`gristmill functions NAME` explains one. Operators, CASE, CAST, IN, BETWEEN, LIKE and EXTRACT"
    )?;
    writeln!(
        out,
        "are as in SQL. Scalar functions see one row; aggregate functions stand in `aggregate`."
    )
}

/// What stands above the functions of one kind.
fn title(function: &Function) -> String {
    match (function.family, function.section.as_str()) {
        (Family::Scalar, "") => "Other Functions".to_owned(),
        (Family::Scalar, section) => section.to_owned(),
        (Family::Aggregate, "") => "Other Aggregate Functions".to_owned(),
        (Family::Aggregate, section) => match section.strip_suffix(" Functions") {
            Some(kind) => format!("{kind} Aggregate Functions"),
            None => section.to_owned(),
        },
    }
}

fn explain(function: &Function, out: &mut String) -> fmt::Result {
    writeln!(out, "{} ({})\n", function.name, function.family.name())?;
    for usage in &function.usage {
        writeln!(out, "  {usage}")?;
    }
    if !function.description.is_empty() {
        writeln!(out, "\n{}", function.description)?;
    }
    if !function.arguments.is_empty() {
        writeln!(out, "\narguments:")?;
        for (name, says) in &function.arguments {
            writeln!(out, "  {name}: {}", says.trim())?;
        }
    }
    for (word, names) in [("also called", &function.aliases), ("see also", &function.related)] {
        if !names.is_empty() {
            writeln!(out, "\n{word}: {}", names.join(", "))?;
        }
    }
    if let Some(example) = &function.example {
        writeln!(out, "\nexample, as a query:\n")?;
        for line in example.lines() {
            writeln!(out, "{}", format!("  {line}").trim_end())?;
        }
    }
    writeln!(out)
}

/// The first sentence, on one line.
fn first_sentence(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.find(". ") {
        Some(end) => line[..=end].to_owned(),
        None => line,
    }
}

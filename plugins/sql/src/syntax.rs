//! From the text of an expression to its syntax tree, with errors that point into the text.

use std::ops::ControlFlow;

use datafusion_common::DataFusionError;
use datafusion_sql::parser::DFParserBuilder;
use datafusion_sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArguments, Value, Visit, Visitor, visit_expressions,
};
use datafusion_sql::sqlparser::dialect::GenericDialect;
use datafusion_sql::sqlparser::parser::ParserError;
use datafusion_sql::sqlparser::tokenizer::{Token, Tokenizer};
use gristmill_stage::{Error, Result};

use crate::functions::Functions;

/// The most operators and brackets. The tree of a chain is as deep as the chain is long until it
/// is looked at, and even dropping it is recursion.
const MAX_OPERATORS: usize = 1000;

/// The deepest tree, in levels of operators. What plans and runs expressions is recursive, and in a
/// debug build takes up to 20 KiB of stack for a level; a thread may have no more than 2 MiB.
const MAX_DEPTH: usize = 64;

/// Parses one expression and checks that it uses only what a stage can compute.
///
/// # Errors
/// An option error at `at`.
pub(crate) fn parse(functions: &Functions, text: &str, at: &str) -> Result<Expr> {
    if text.trim().is_empty() {
        return Err(Error::option(at, "the expression is empty"));
    }
    check_length(text, at)?;
    let parsed = DFParserBuilder::new(text)
        .build()
        .and_then(|mut parser| parser.parse_into_expr())
        .map_err(|error| syntax_error(&error, text, at))?;
    if let Some(alias) = parsed.alias {
        return Err(Error::option(at, format!("`AS {alias}` has no place in an expression"))
            .help("the name of the column is the key before the colon"));
    }
    let expr = balanced(parsed.expr);
    if expr.visit(&mut Depth::default()).is_break() {
        return Err(Error::option(at, "the expression is nested too deeply")
            .help("compute parts of it in a `map` before"));
    }
    match visit_expressions(&expr, |part| check_part(functions, part)) {
        ControlFlow::Continue(()) => Ok(expr),
        ControlFlow::Break(problem) => {
            let error = Error::option(at, problem.message);
            Err(if problem.help.is_empty() { error } else { error.help(problem.help) })
        }
    }
}

/// `name` as an expression that means the column of that name.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn check_length(text: &str, at: &str) -> Result<()> {
    let tokens = Tokenizer::new(&GenericDialect, text).tokenize().map_err(|error| {
        let place = &error.location;
        located(&error.message, place.line, place.column, text, at)
    })?;
    let operators = tokens.iter().filter(|token| {
        // Commas and literals make long lists, but no deep trees.
        !matches!(
            token,
            Token::Word(_) | Token::Number(..) | Token::SingleQuotedString(_)
                | Token::Whitespace(_) | Token::Comma
        ) || matches!(token, Token::Word(word) if matches!(word.value.to_ascii_uppercase().as_str(), "AND" | "OR" | "NOT"))
    });
    if operators.count() > MAX_OPERATORS {
        return Err(Error::option(
            at,
            format!("the expression is too long: it has more than {MAX_OPERATORS} operators"),
        )
        .help("compute parts of it in a `map` before, or use `IN (…)` for a list of values"));
    }
    Ok(())
}

/// Counts the levels of a tree; breaks when there are too many.
#[derive(Default)]
struct Depth(usize);

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, part: &Expr) -> ControlFlow<()> {
        self.0 += levels(part);
        if self.0 > MAX_DEPTH { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn post_visit_expr(&mut self, part: &Expr) -> ControlFlow<()> {
        self.0 -= levels(part);
        ControlFlow::Continue(())
    }
}

/// How much stack a part takes, in levels: calls, brackets and CASE take that of several operators.
fn levels(part: &Expr) -> usize {
    match part {
        Expr::BinaryOp { .. } => 1,
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_) => 0,
        _ => 4,
    }
}

/// The same condition with long chains of AND and of OR as flat trees: their order of evaluation
/// stays, and so does their meaning.
fn balanced(expr: Expr) -> Expr {
    match expr {
        Expr::Nested(inner) => Expr::Nested(Box::new(balanced(*inner))),
        Expr::BinaryOp { left, op, right }
            if matches!(op, BinaryOperator::And | BinaryOperator::Or) =>
        {
            let mut operands = vec![*right];
            let mut first = *left;
            loop {
                match first {
                    Expr::BinaryOp { left, op: other, right } if other == op => {
                        operands.push(*right);
                        first = *left;
                    }
                    _ => break,
                }
            }
            operands.push(first);
            let mut operands: Vec<Expr> = operands.into_iter().rev().map(balanced).collect();
            while operands.len() > 1 {
                operands = pairs(operands, &op);
            }
            operands.pop().unwrap_or_else(|| Expr::value(Value::Null))
        }
        other => other,
    }
}

fn pairs(operands: Vec<Expr>, op: &BinaryOperator) -> Vec<Expr> {
    let mut operands = operands.into_iter();
    let mut joined = Vec::with_capacity(operands.len().div_ceil(2));
    while let Some(left) = operands.next() {
        joined.push(match operands.next() {
            Some(right) => {
                Expr::BinaryOp { left: Box::new(left), op: op.clone(), right: Box::new(right) }
            }
            None => left,
        });
    }
    joined
}

struct Problem {
    message: String,
    help: String,
}

impl Problem {
    fn new(message: impl Into<String>, help: impl Into<String>) -> ControlFlow<Self> {
        ControlFlow::Break(Self { message: message.into(), help: help.into() })
    }
}

fn check_part(functions: &Functions, part: &Expr) -> ControlFlow<Problem> {
    match part {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => Problem::new(
            format!("`{part}` is a query within the expression, which stages do not have"),
            "an expression sees one batch of rows; use a stage before this one",
        ),
        Expr::Function(function) => check_function(functions, function),
        Expr::Identifier(name) if name.value.starts_with('@') && name.quote_style.is_none() => {
            Problem::new(format!("`{name}` is a variable, which stages do not have"), "")
        }
        _ => ControlFlow::Continue(()),
    }
}

fn check_function(functions: &Functions, function: &Function) -> ControlFlow<Problem> {
    let name = function.name.to_string().to_lowercase();
    if function.over.is_some() {
        return Problem::new(
            format!("`{name}(…) OVER …` is a window function, which stages do not have"),
            "",
        );
    }
    match &function.args {
        // `current_date` and the like; others of this form are columns.
        FunctionArguments::None => ControlFlow::Continue(()),
        _ if functions.has(&name) => ControlFlow::Continue(()),
        _ => Problem::new(
            format!("there is no function `{name}`"),
            functions
                .nearest(&name)
                .map(|near| format!("did you mean `{near}`?"))
                .unwrap_or_default(),
        ),
    }
}

/// Says what the parser says, in plain words and with the text at the place.
fn syntax_error(error: &DataFusionError, text: &str, at: &str) -> Error {
    let message = match error.find_root() {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::RecursionLimitExceeded => {
                return Error::option(at, "the expression is nested too deeply");
            }
            ParserError::TokenizerError(message) | ParserError::ParserError(message) => {
                message.clone()
            }
        },
        other => crate::wording::plain(other),
    };
    match split_place(&message) {
        Some((message, line, column)) => located(message, line, column, text, at),
        None => located(&message, 0, 0, text, at),
    }
}

/// Splits `… at Line: 1, Column: 5` off a message of the parser.
fn split_place(message: &str) -> Option<(&str, u64, u64)> {
    let (message, place) = message.rsplit_once(" at Line: ")?;
    let (line, column) = place.split_once(", Column: ")?;
    let column = column.trim_end_matches(|c: char| !c.is_ascii_digit());
    Some((message, line.parse().ok()?, column.parse().ok()?))
}

fn located(message: &str, line: u64, column: u64, text: &str, at: &str) -> Error {
    let (line_index, skip) = (line.saturating_sub(1) as usize, column.saturating_sub(1) as usize);
    let rest: String = text.lines().nth(line_index).unwrap_or("").chars().skip(skip).collect();
    let (expected, found) = match message.split_once(", found: ") {
        Some((expected, found)) => (expected.trim_start_matches("Expected: "), Some(found)),
        None => (message, None),
    };
    let place = if text.lines().count() > 1 {
        format!(" (line {line}, column {column})")
    } else if column > 1 {
        format!(" (column {column})")
    } else {
        String::new()
    };
    let message = match found {
        Some("EOF") => format!("the expression ends too early: expected {expected}"),
        Some(_) if expected == "end of expression" => {
            format!("the expression should end before `{}`{place}", shorten(&rest))
        }
        Some(_) if !rest.is_empty() => {
            format!("expected {expected} at `{}`{place}", shorten(&rest))
        }
        _ if rest.is_empty() => format!("{}{place}", crate::wording::lower_first(expected)),
        _ => format!("{} at `{}`{place}", crate::wording::lower_first(expected), shorten(&rest)),
    };
    Error::option(at, message)
}

/// The beginning of a text, for a message.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 40;
    let text = text.trim();
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

//! Texts with places for values.

use gristmill_stage::{Error, Result};

/// A template, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Literal(String),
    Value(usize, Form),
}

/// How a value is put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Raw,
    /// Percent-encoded: it cannot change the shape of the address.
    Encoded,
    /// Only what cannot stand in an address at all is encoded; slashes and the like stay.
    Reserved,
}

/// What a template is for; decides how values are put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Address,
    Text,
}

/// One value in the forms that templates ask for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    pub(crate) raw: String,
    pub(crate) encoded: String,
    pub(crate) reserved: String,
}

impl Template {
    /// Takes `text` apart. `names` are the variables there are; `option` is where the text stands.
    pub(crate) fn parse(
        text: &str,
        purpose: Purpose,
        names: &[&str],
        option: &str,
    ) -> Result<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err(Error::option(option, "a `}` has no `{` before it")
                    .help("write `}}` for a brace that is part of the text"));
            } else {
                let Some((inside, after)) = rest.split_once('}') else {
                    return Err(Error::option(
                        option,
                        format!("the brace before `{rest}` is never closed"),
                    )
                    .help(
                        "write `{name}` for a value, or `{{` for a brace that is part of the text",
                    ));
                };
                if !literal.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut literal)));
                }
                parts.push(value(inside, purpose, names, option)?);
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        let template = Self { parts };
        if purpose == Purpose::Address {
            template.check_address(names, option)?;
        }
        Ok(template)
    }

    /// An address must begin with a scheme, which may come out of a variable.
    fn check_address(&self, names: &[&str], option: &str) -> Result<()> {
        let help = "write a whole address, such as https://example.com/{n} or demo:/item/{n}";
        match self.parts.first() {
            None => Err(Error::option(option, "the address is empty").help(help)),
            Some(Part::Value(name, Form::Reserved)) if *name > 0 => Ok(()),
            Some(Part::Value(0, _)) => {
                Err(Error::option(option, "an address cannot begin with a number").help(help))
            }
            Some(Part::Value(name, _)) => {
                let name = names.get(*name).copied().unwrap_or_default();
                Err(Error::option(
                    option,
                    format!("the value of `{name}` would be percent-encoded, slashes and all"),
                )
                .help(format!("write {{+{name}}} to put in the start of an address as it is")))
            }
            Some(Part::Literal(text)) => {
                let scheme = text.split(':').next().unwrap_or_default();
                let open = scheme.len() == text.len() && self.parts.len() > 1;
                if is_scheme(scheme) && (open || scheme.len() < text.len()) {
                    Ok(())
                } else {
                    Err(Error::option(
                        option,
                        format!("`{text}` does not begin with http:// or the like"),
                    )
                    .help(help))
                }
            }
        }
    }

    /// Adds the template to `out`, with `cells` for its variables.
    pub(crate) fn render(&self, cells: &[Cell], out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Value(name, form) => {
                    let Some(cell) = cells.get(*name) else {
                        continue;
                    };
                    out.push_str(match form {
                        Form::Raw => &cell.raw,
                        Form::Encoded => &cell.encoded,
                        Form::Reserved => &cell.reserved,
                    });
                }
            }
        }
    }

    /// Whether the template asks for that variable in that form.
    pub(crate) fn uses(&self, name: usize, form: Form) -> bool {
        self.parts.contains(&Part::Value(name, form))
    }
}

/// Whether an address can begin with `text:`.
pub(crate) fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn value(inside: &str, purpose: Purpose, names: &[&str], option: &str) -> Result<Part> {
    let (name, form) = match (inside.strip_prefix('+'), purpose) {
        (Some(name), Purpose::Address) => (name, Form::Reserved),
        (None, Purpose::Address) => (inside, Form::Encoded),
        (plus, Purpose::Text) => (plus.unwrap_or(inside), Form::Raw),
    };
    if let Some(index) = names.iter().position(|known| *known == name) {
        return Ok(Part::Value(index, form));
    }
    let near = names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, name), *known))
        .filter(|(distance, known)| *distance <= known.len().max(name.len()) / 2)
        .min();
    let help = match near {
        Some((_, known)) => {
            format!("did you mean `{{{known}}}`? Write `{{{{` for a brace in the text")
        }
        None => {
            let known: Vec<String> = names.iter().map(|name| format!("{{{name}}}")).collect();
            format!("there is {}; write `{{{{` for a brace in the text", known.join(", "))
        }
    };
    Err(Error::option(option, format!("there is no variable `{name}`")).help(help))
}

/// Percent-encodes `text` into `out`. In the form `Reserved`, what has a meaning in addresses
/// stays, as does what is encoded already.
pub(crate) fn encode(text: &str, form: Form, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.clear();
    let bytes = text.as_bytes();
    for (i, &b) in bytes.iter().enumerate() {
        let encoded_already = b == b'%'
            && bytes.get(i + 1..i + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
        let plain = b.is_ascii_alphanumeric()
            || b"-._~".contains(&b)
            || (form == Form::Reserved && (b":/?#[]@!$&'()*+,;=".contains(&b) || encoded_already));
        if plain {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(raw: &str) -> Cell {
        let mut cell = Cell { raw: raw.to_owned(), ..Cell::default() };
        encode(raw, Form::Encoded, &mut cell.encoded);
        encode(raw, Form::Reserved, &mut cell.reserved);
        cell
    }

    fn render(text: &str, purpose: Purpose) -> Result<String> {
        let template = Template::parse(text, purpose, &["n", "path"], "url")?;
        let mut out = String::new();
        template.render(&[cell("7"), cell("a b/ü%41%")], &mut out);
        Ok(out)
    }

    #[test]
    fn values_are_put_in() {
        for (text, expected) in [
            ("http://h/{n}", "http://h/7"),
            ("http://h/{{n}}{n}}}", "http://h/{n}7}"),
            ("http://h/{path}", "http://h/a%20b%2F%C3%BC%2541%25"),
            ("http://h/{+path}?q={n}", "http://h/a%20b/%C3%BC%41%25?q=7"),
            ("demo:/{n}", "demo:/7"),
        ] {
            assert_eq!(render(text, Purpose::Address).expect(text), expected);
        }
        assert_eq!(
            render("{{\"p\": \"{path}\"}}", Purpose::Text).unwrap(),
            "{\"p\": \"a b/ü%41%\"}"
        );
        assert_eq!(render("", Purpose::Text).unwrap(), "");
        assert_eq!(render("{+n}", Purpose::Text).unwrap(), "7");
    }

    #[test]
    fn mistakes_are_explained() {
        for (text, message, help) in [
            ("http://h/{nn}", "no variable `nn`", "did you mean `{n}`?"),
            ("http://h/{pth}", "no variable `pth`", "did you mean `{path}`?"),
            ("http://h/{}", "no variable ``", "there is {n}, {path}"),
            ("http://h/{n", "never closed", "{{"),
            ("http://h/n}", "no `{` before", "}}"),
            ("/item/{n}", "does not begin with http://", "whole address"),
            ("", "empty", "whole address"),
            ("{n}", "cannot begin with a number", "whole address"),
            ("{path}/x", "percent-encoded", "{+path}"),
        ] {
            let error = render(text, Purpose::Address).expect_err(text);
            assert!(error.message().contains(message), "{text}: {error}");
            assert!(error.help_text().is_some_and(|text| text.contains(help)), "{text}: {error}");
            assert_eq!(error.option_path(), Some("url"));
        }
    }
}

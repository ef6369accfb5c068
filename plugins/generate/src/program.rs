//! The options, checked and taken apart.

use std::path::PathBuf;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use gristmill_stage::{Error, Result};

use crate::options::{Options, VarOption};
use crate::template::{Purpose, Template};
use crate::values::{Numbers, Values, check_file};

/// Names that are columns already.
const COLUMNS: [&str; 5] = ["n", "url", "method", "headers", "body"];

/// What to make.
#[derive(Debug)]
pub(crate) struct Program {
    /// The numbers of `count` or `range`; otherwise rows are numbered from 1.
    pub(crate) numbers: Option<Numbers>,
    pub(crate) vars: Vec<(String, VarOption)>,
    pub(crate) addresses: Addresses,
    pub(crate) request: Request,
}

/// Where addresses come from.
#[derive(Debug, PartialEq)]
pub(crate) enum Addresses {
    /// There are none: rows of numbers and variables.
    None,
    /// One or several templates; each combination goes to all of them.
    Templates(Vec<Template>),
    /// The lines of a file.
    File(PathBuf),
}

/// What a request has besides its address.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) headers: Option<Vec<(String, Template)>>,
    pub(crate) body: Option<Template>,
}

impl Program {
    /// Checks all that can be checked without reading a file.
    pub(crate) fn new(options: &Options) -> Result<Self> {
        let numbers = match (&options.count, &options.range) {
            (Some(_), Some(_)) => {
                return Err(Error::option("range", "there is a `count` already")
                    .help("`count: 500` is short for `range: 1..500`; leave one of them out"));
            }
            (Some(count), None) => Some(Numbers::count(*count)),
            (None, Some(range)) => Some(Numbers::range(range, "range")?),
            (None, None) => None,
        };
        let vars = options.vars.as_ref().map_or(Vec::new(), |vars| vars.0.clone());
        for (name, _) in &vars {
            check_name(name)?;
        }
        let mut names = vec!["n"];
        names.extend(vars.iter().map(|(name, _)| name.as_str()));
        let addresses = addresses(options, &names)?;
        if addresses == Addresses::None && numbers.is_none() && vars.is_empty() {
            return Err(Error::option("", "nothing says which requests to make")
                .help("give `url` with `count`, `urls`, or `file`"));
        }
        let request = request(options, &names, &addresses)?;
        Ok(Self { numbers, vars, addresses, request })
    }

    /// How many rows there will be; `None` where that depends on a file.
    pub(crate) fn total(&self) -> Result<Option<u64>> {
        let mut values = Vec::new();
        let mut known = !matches!(self.addresses, Addresses::File(_));
        for (name, option) in &self.vars {
            match Values::plan(option, &format!("vars.{name}"))? {
                Some(found) => values.push(found),
                None => known = false,
            }
        }
        let total = self.product(&values)?;
        Ok(known.then_some(total))
    }

    /// The number of combinations.
    pub(crate) fn product(&self, values: &[Values]) -> Result<u64> {
        let urls = match &self.addresses {
            Addresses::Templates(templates) => templates.len() as u64,
            _ => 1,
        };
        let numbers = self.numbers.map_or(1, |numbers| numbers.len);
        values
            .iter()
            .map(Values::len)
            .chain([numbers, urls])
            .try_fold(1_u64, u64::checked_mul)
            .filter(|total| i64::try_from(*total).is_ok())
            .ok_or_else(|| Error::option("", "there are more than 2^63 combinations"))
    }

    /// The columns that come out.
    pub(crate) fn schema(&self) -> SchemaRef {
        let mut fields = vec![Field::new("n", DataType::Int64, false)];
        fields.extend(self.vars.iter().map(|(name, _)| Field::new(name, DataType::Utf8, false)));
        if self.addresses != Addresses::None {
            fields.push(Field::new("url", DataType::Utf8, false));
            fields.push(Field::new("method", DataType::Utf8, false));
            if self.request.headers.is_some() {
                fields.push(Field::new("headers", map_type(), true));
            }
            if self.request.body.is_some() {
                fields.push(Field::new("body", DataType::Utf8, true));
            }
        }
        Arc::new(Schema::new(fields))
    }
}

/// A map from text to text, as arrow's builder makes it.
fn map_type() -> DataType {
    let entry = Fields::from(vec![
        Field::new("keys", DataType::Utf8, false),
        Field::new("values", DataType::Utf8, true),
    ]);
    DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
}

fn check_name(name: &str) -> Result<()> {
    let path = format!("vars.{name}");
    if COLUMNS.contains(&name) {
        return Err(Error::option(path, format!("`{name}` is a column of generate already"))
            .help("choose another name for the variable"));
    }
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(plain) {
        return Err(Error::option(path, format!("`{name}` cannot be the name of a variable"))
            .help("use letters, digits, `_` and `-`"));
    }
    Ok(())
}

fn addresses(options: &Options, names: &[&str]) -> Result<Addresses> {
    let template = |text: &str, path: &str| Template::parse(text, Purpose::Address, names, path);
    match (&options.url, &options.urls, &options.file) {
        (None, None, None) => Ok(Addresses::None),
        (Some(url), None, None) => Ok(Addresses::Templates(vec![template(url, "url")?])),
        (None, Some(urls), None) if urls.is_empty() => {
            Err(Error::option("urls", "the list is empty, so there would be no request at all"))
        }
        (None, Some(urls), None) => urls
            .iter()
            .enumerate()
            .map(|(i, url)| template(url, &format!("urls[{i}]")))
            .collect::<Result<_>>()
            .map(Addresses::Templates),
        (None, None, Some(file)) => {
            let others = [
                ("count", options.count.is_some()),
                ("range", options.range.is_some()),
                ("vars", options.vars.is_some()),
            ];
            if let Some((other, _)) = others.iter().find(|(_, given)| *given) {
                return Err(Error::option(*other, format!("`{other}` does not go with `file`"))
                    .help("the lines of the file are whole addresses, not templates"));
            }
            check_file(file, "file")?;
            Ok(Addresses::File(file.clone()))
        }
        (Some(_), _, _) => {
            let other = if options.urls.is_some() { "urls" } else { "file" };
            Err(Error::option(other, "there is a `url` already").help("leave one of them out"))
        }
        (None, Some(_), Some(_)) => Err(Error::option("file", "there is a list of `urls` already")
            .help("leave one of them out")),
    }
}

fn request(options: &Options, names: &[&str], addresses: &Addresses) -> Result<Request> {
    let given = [
        ("method", options.method.is_some()),
        ("headers", options.headers.is_some()),
        ("body", options.body.is_some()),
    ];
    if *addresses == Addresses::None
        && let Some((option, _)) = given.iter().find(|(_, given)| *given)
    {
        return Err(Error::option(*option, format!("`{option}` needs an address to go with"))
            .help("give `url`, `urls` or `file`"));
    }
    let method = options.method.as_deref().unwrap_or("GET");
    if !is_token(method) {
        return Err(Error::option("method", format!("`{method}` is not an HTTP method"))
            .help("use GET, POST, PUT, DELETE or the like"));
    }
    let text = |text: &str, path: &str| Template::parse(text, Purpose::Text, names, path);
    let header = |name: &String, value: &dyn ToString| {
        let path = format!("headers.{name}");
        if is_token(name) {
            text(&value.to_string(), &path).map(|template| (name.clone(), template))
        } else {
            Err(Error::option(path, format!("`{name}` cannot be the name of a header")))
        }
    };
    let headers = match &options.headers {
        None => None,
        Some(headers) => {
            Some(headers.0.iter().map(|(name, value)| header(name, value)).collect::<Result<_>>()?)
        }
    };
    let body = options.body.as_deref().map(|body| text(body, "body")).transpose()?;
    Ok(Request { method: method.to_owned(), headers, body })
}

/// A word as HTTP has it in methods and names of headers.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

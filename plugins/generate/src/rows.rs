//! The rows of the next batch, column by column.

use std::sync::Arc;

use arrow_array::builder::{MapBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Result};

use crate::program::{Addresses, Program, Request};
use crate::template::{Cell, Form, Template, encode};

/// Collects rows until there are enough for a batch.
pub(crate) struct Rows {
    schema: SchemaRef,
    most: usize,
    bytes: usize,
    /// The numbers, also where they are no column: they say how many rows there are.
    n: Vec<i64>,
    numbered: bool,
    /// The variables; none for one that nobody wants.
    vars: Vec<Option<StringBuilder>>,
    requests: Option<Requests>,
}

/// The columns of requests that are wanted.
struct Requests {
    url: Option<StringBuilder>,
    method: Option<StringBuilder>,
    headers: Option<MapBuilder<StringBuilder, StringBuilder>>,
    body: Option<StringBuilder>,
    scratch: String,
}

impl Rows {
    pub(crate) fn new(program: &Program, schema: SchemaRef, target: BatchTarget) -> Self {
        let wanted = |name: &str| schema.column_with_name(name).is_some();
        let text = |name: &str| wanted(name).then(StringBuilder::new);
        let request = ["url", "method", "headers", "body"].into_iter().any(wanted);
        let requests = (program.addresses != Addresses::None && request).then(|| Requests {
            url: text("url"),
            method: text("method"),
            headers: wanted("headers")
                .then(|| MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())),
            body: text("body"),
            scratch: String::new(),
        });
        // Texts are addressed with 31 bits, so however large batches may be, these stay below.
        let most = target.bytes.clamp(1, 1 << 30);
        let vars = program.vars.iter().map(|(name, _)| text(name)).collect();
        let numbered = wanted("n");
        Self { schema, most, bytes: 0, n: Vec::new(), numbered, vars, requests }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n.is_empty()
    }

    /// Whether the batch has as many rows, or as many bytes, as it should have.
    pub(crate) fn full(&self, rows: usize) -> bool {
        self.n.len() >= rows || self.bytes >= self.most
    }

    /// Whether rows have nothing but numbers.
    pub(crate) fn only_numbers(&self) -> bool {
        self.requests.is_none() && self.vars.iter().all(Option::is_none)
    }

    /// Adds rows that have only numbers.
    pub(crate) fn numbers(&mut self, numbers: impl Iterator<Item = i64>) {
        self.n.extend(numbers);
    }

    /// Adds a row up to the address. `cells` are the number and the variables.
    pub(crate) fn start(&mut self, n: i64, cells: &[Cell]) {
        self.n.push(n);
        self.bytes += 8;
        for (column, cell) in self.vars.iter_mut().zip(cells.iter().skip(1)) {
            if let Some(column) = column {
                self.bytes += 4 + cell.raw.len();
                column.append_value(&cell.raw);
            }
        }
    }

    /// Adds an address made from a template, and the rest of the request.
    pub(crate) fn address(
        &mut self,
        template: &Template,
        request: &Request,
        cells: &[Cell],
    ) -> Result<()> {
        let Some(columns) = &mut self.requests else {
            return Ok(());
        };
        if let Some(url) = &mut columns.url {
            columns.scratch.clear();
            template.render(cells, &mut columns.scratch);
            url.append_value(&columns.scratch);
            self.bytes += columns.scratch.len();
        }
        self.bytes += columns.rest(request, cells)?;
        Ok(())
    }

    /// Adds an address as it is, and the rest of the request.
    pub(crate) fn line(&mut self, url: &str, request: &Request, cells: &[Cell]) -> Result<()> {
        let Some(columns) = &mut self.requests else {
            return Ok(());
        };
        if let Some(column) = &mut columns.url {
            column.append_value(url);
            self.bytes += url.len();
        }
        self.bytes += columns.rest(request, cells)?;
        Ok(())
    }

    /// The batch of all rows collected; there are none afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let n = std::mem::take(&mut self.n);
        let rows = RecordBatchOptions::new().with_row_count(Some(n.len()));
        if self.numbered {
            columns.push(Arc::new(Int64Array::from(n)));
        }
        let vars = self.vars.iter_mut().flatten();
        columns.extend(vars.map(|column| Arc::new(column.finish()) as ArrayRef));
        if let Some(Requests { url, method, headers, body, .. }) = &mut self.requests {
            columns.extend(url.as_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
            columns.extend(method.as_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
            columns.extend(headers.as_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
            columns.extend(body.as_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        }
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)?)
    }
}

impl Requests {
    /// Adds what is not the address; says how many bytes that was.
    fn rest(&mut self, request: &Request, cells: &[Cell]) -> Result<usize> {
        let mut bytes = 0;
        if let Some(method) = &mut self.method {
            method.append_value(&request.method);
            bytes += 8 + request.method.len();
        }
        if let (Some(column), Some(headers)) = (&mut self.headers, &request.headers) {
            for (name, value) in headers {
                self.scratch.clear();
                value.render(cells, &mut self.scratch);
                column.keys().append_value(name);
                column.values().append_value(&self.scratch);
                bytes += 8 + name.len() + self.scratch.len();
            }
            column.append(true)?;
        }
        if let (Some(column), Some(body)) = (&mut self.body, &request.body) {
            self.scratch.clear();
            body.render(cells, &mut self.scratch);
            column.append_value(&self.scratch);
            bytes += 4 + self.scratch.len();
        }
        Ok(bytes)
    }
}

/// In which forms the templates ask for a variable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Uses {
    pub(crate) raw: bool,
    encoded: bool,
    reserved: bool,
}

impl Uses {
    pub(crate) fn of(program: &Program, name: usize) -> Self {
        let request = &program.request;
        let urls: &[Template] = match &program.addresses {
            Addresses::Templates(templates) => templates,
            _ => &[],
        };
        let mut texts =
            request.headers.iter().flatten().map(|(_, value)| value).chain(&request.body);
        let encoded = urls.iter().any(|url| url.uses(name, Form::Encoded));
        let reserved = urls.iter().any(|url| url.uses(name, Form::Reserved));
        // The columns of variables need them as they are; the column of the number does not.
        let raw = name > 0 || encoded || reserved || texts.any(|text| text.uses(name, Form::Raw));
        Self { raw, encoded, reserved }
    }

    /// Brings the other forms of a cell in line with the raw one.
    pub(crate) fn fill(self, cell: &mut Cell) {
        if self.encoded {
            encode(&cell.raw, Form::Encoded, &mut cell.encoded);
        }
        if self.reserved {
            encode(&cell.raw, Form::Reserved, &mut cell.reserved);
        }
    }
}

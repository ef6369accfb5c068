//! The rows of the next batch, column by column.

use std::sync::Arc;

use arrow_array::builder::{MapBuilder, StringBuilder};
use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use arrow_schema::SchemaRef;
use gristmill_stage::{BatchTarget, Result};

use crate::program::{Addresses, Program, Request};
use crate::template::{Cell, Form, Template, encode};

/// Collects rows until there are enough for a batch.
pub(crate) struct Rows {
    schema: SchemaRef,
    most: usize,
    bytes: usize,
    n: Vec<i64>,
    vars: Vec<StringBuilder>,
    requests: Option<Requests>,
}

/// The columns of requests.
struct Requests {
    url: StringBuilder,
    method: StringBuilder,
    headers: Option<MapBuilder<StringBuilder, StringBuilder>>,
    body: Option<StringBuilder>,
    scratch: String,
}

impl Rows {
    pub(crate) fn new(program: &Program, schema: SchemaRef, target: BatchTarget) -> Self {
        let request = &program.request;
        let requests = (program.addresses != Addresses::None).then(|| Requests {
            url: StringBuilder::new(),
            method: StringBuilder::new(),
            headers: request
                .headers
                .as_ref()
                .map(|_| MapBuilder::new(None, StringBuilder::new(), StringBuilder::new())),
            body: request.body.as_ref().map(|_| StringBuilder::new()),
            scratch: String::new(),
        });
        // Texts are addressed with 31 bits, so however large batches may be, these stay below.
        let most = target.bytes.clamp(1, 1 << 30);
        let vars = program.vars.iter().map(|_| StringBuilder::new()).collect();
        Self { schema, most, bytes: 0, n: Vec::new(), vars, requests }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.n.is_empty()
    }

    /// Whether the batch has as many rows, or as many bytes, as it should have.
    pub(crate) fn full(&self, rows: usize) -> bool {
        self.n.len() >= rows || self.bytes >= self.most
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
            self.bytes += 4 + cell.raw.len();
            column.append_value(&cell.raw);
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
        columns.scratch.clear();
        template.render(cells, &mut columns.scratch);
        columns.url.append_value(&columns.scratch);
        self.bytes += columns.scratch.len() + columns.rest(request, cells)?;
        Ok(())
    }

    /// Adds an address as it is, and the rest of the request.
    pub(crate) fn line(&mut self, url: &str, request: &Request, cells: &[Cell]) -> Result<()> {
        let Some(columns) = &mut self.requests else {
            return Ok(());
        };
        columns.url.append_value(url);
        self.bytes += url.len() + columns.rest(request, cells)?;
        Ok(())
    }

    /// The batch of all rows collected; there are none afterwards.
    pub(crate) fn finish(&mut self) -> Result<RecordBatch> {
        self.bytes = 0;
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        columns.push(Arc::new(Int64Array::from(std::mem::take(&mut self.n))));
        columns.extend(self.vars.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
        if let Some(requests) = &mut self.requests {
            columns.push(Arc::new(requests.url.finish()));
            columns.push(Arc::new(requests.method.finish()));
            if let Some(headers) = &mut requests.headers {
                columns.push(Arc::new(headers.finish()));
            }
            if let Some(body) = &mut requests.body {
                columns.push(Arc::new(body.finish()));
            }
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}

impl Requests {
    /// Adds what is not the address; says how many bytes that was.
    fn rest(&mut self, request: &Request, cells: &[Cell]) -> Result<usize> {
        self.method.append_value(&request.method);
        let mut bytes = 8 + request.method.len();
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

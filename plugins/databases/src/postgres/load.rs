//! The transaction.

use std::pin::pin;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::SinkExt;
use gristmill_stage::{Error, Result};
use tokio::task::spawn_blocking;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error as PgError, Row, Statement};

use super::publisher::Postgres;
use super::table::{COLUMNS, REFUSED, ROWS, Table};
use super::target::{Failure, of_row};
use super::text::{Lines, lines};
use crate::letters::{Kept, Refused};
use crate::options::Mode;
use crate::publish::{Job, Mark};
use crate::spool::Pieces;

type Tried<T> = Result<T, Failure>;

/// Looks whether rows can be written, and how far the worker had come whose place this one takes.
pub(super) async fn look(to: &Postgres, before: Option<&str>) -> Tried<Option<Mark>> {
    let client = to.target.connect().await?;
    let failed = |e: PgError| to.target.failed(&e);
    client.batch_execute(&to.table.wait()).await.map_err(failed)?;
    if let Some(kinds) = kinds(to, &client).await? {
        let planned = client.batch_execute(&to.table.explain(&kinds)).await;
        planned.map_err(|e| unplanned(to, &e))?;
    }
    let marks = to.table.marks();
    let exists = client.query_one("SELECT to_regclass($1::text) IS NULL", &[&marks]).await;
    if exists.map_err(failed)?.get(0) {
        // Another worker may make it in the same moment.
        match client.batch_execute(&to.table.create_marks()).await {
            Err(e) if !made_meanwhile(e.code()) => return Err(no_marks(to, &e)),
            _ => return Ok(None),
        }
    }
    let Some(id) = before else { return Ok(None) };
    // The connection of a dead worker may still be committing: this waits until that is decided.
    let sql = format!(
        "INSERT INTO {marks} (id, part, taken) VALUES ($1, 0, 0) ON CONFLICT (id) \
         DO UPDATE SET at = now() RETURNING part, taken"
    );
    let row = client.query_one(&sql, &[&id]).await.map_err(failed)?;
    let (part, taken): (i64, i64) = (row.get(0), row.get(1));
    Ok((part > 0).then_some(Mark { part: part as u64, taken: taken as u64 }))
}

/// What to say when the database cannot plan the statement.
pub(super) fn unplanned(to: &Postgres, error: &PgError) -> Failure {
    match error.code() {
        Some(&SqlState::INVALID_COLUMN_REFERENCE) => Failure::Lasting(to.table.no_index()),
        _ => to.target.failed(error),
    }
}

fn made_meanwhile(code: Option<&SqlState>) -> bool {
    let codes = [SqlState::UNIQUE_VIOLATION, SqlState::DUPLICATE_TABLE];
    code.is_some_and(|code| codes.contains(code))
}

fn no_marks(to: &Postgres, error: &PgError) -> Failure {
    match to.target.failed(error) {
        Failure::Lasting(error) => Failure::Lasting(error.help(format!(
            "what is published is noted there, so that nothing comes in twice; GRANT CREATE on the \
             schema, or: {}",
            to.table.create_marks()
        ))),
        passing => passing,
    }
}

async fn kinds(to: &Postgres, client: &Client) -> Tried<Option<Vec<String>>> {
    let rows = client.query(COLUMNS, &[&to.table.name]).await;
    Ok(to.table.compare(&rows.map_err(|e| to.target.failed(&e))?)?)
}

/// Publishes the rows of the job, all or none. Nothing happens when they are published already.
pub(super) async fn load(to: &Postgres, job: &Job) -> Tried<()> {
    let client = to.target.connect().await?;
    let failed = |e: PgError| to.target.failed(&e);
    client.batch_execute(&to.table.begin()).await.map_err(failed)?;
    // First of all the mark: should a lost connection still be committing the same job, this waits
    // until that is decided.
    let marks = to.table.marks();
    let sql = format!(
        "INSERT INTO {marks} (id, part, taken) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE \
         SET part = excluded.part, taken = excluded.taken, at = now() \
         WHERE {marks}.part < excluded.part"
    );
    let (part, taken) = (job.mark.part as i64, job.mark.taken as i64);
    if client.execute(&sql, &[&job.id, &part, &taken]).await.map_err(failed)? == 0 {
        return Ok(());
    }
    let kinds = match kinds(to, &client).await? {
        Some(kinds) => kinds,
        None => make(to, &client).await?,
    };
    if to.table.load.mode == Mode::Replace && job.part == 0 {
        let sql = format!("DELETE FROM {}", to.table.name);
        client.batch_execute(&sql).await.map_err(failed)?;
    }
    let mut rows = Rows { to, client: &client, kinds, plain: None, texts: None };
    rows.put_all(job).await?;
    let sql = format!("DELETE FROM {marks} WHERE at < now() - interval '7 days'; COMMIT");
    client.batch_execute(&sql).await.map_err(failed)
}

/// Makes the table; returns the types of its columns. Only when it is missing: who may not make tables
/// may still write into one.
async fn make(to: &Postgres, client: &Client) -> Tried<Vec<String>> {
    let made = client.batch_execute(&to.table.create()).await;
    // Another worker may make it in the same moment.
    made.map_err(|e| match (made_meanwhile(e.code()), to.target.failed(&e)) {
        (true, Failure::Lasting(error)) => Failure::Passing(error),
        (_, other) => other,
    })?;
    let kinds = kinds(to, client).await?;
    Ok(kinds.ok_or_else(|| Error::io(format!("table {} is gone", to.table.name)))?)
}

/// Takes back the mark of a worker.
pub(super) async fn forget(to: &Postgres, id: &str) -> Tried<()> {
    let client = to.target.connect().await?;
    let sql = format!("DELETE FROM {} WHERE id = $1", to.table.marks());
    client.execute(&sql, &[&id]).await.map(|_| ()).map_err(|e| to.target.failed(&e))
}

/// Rows on their way within the transaction.
struct Rows<'a> {
    to: &'a Postgres,
    client: &'a Client,
    kinds: Vec<String>,
    /// The statements for COPY into the table, and into the one of texts.
    plain: Option<Statement>,
    texts: Option<Statement>,
}

/// A batch that was read ahead, as text.
type Ahead = (Pieces, Option<(RecordBatch, Lines)>);

impl Rows<'_> {
    async fn put_all(&mut self, job: &Job) -> Tried<()> {
        let mut kept = Kept::create(&job.rejects, &job.rows)?;
        let numbered = self.to.table.load.mode == Mode::Upsert;
        let read = |pieces| read(self.to.table.clone(), pieces, numbered);
        // While one batch is on its way, the next is read.
        let mut ahead = spawn_blocking(read(Pieces::open(&job.spool, job.bytes)?));
        loop {
            let ended = |e| Error::internal(format!("reading ahead: {e}"));
            let (pieces, next) = ahead.await.map_err(ended)??;
            let Some((batch, lines)) = next else { break };
            ahead = spawn_blocking(read(pieces));
            let refused = self.put(&batch, lines, numbered).await?;
            kept.add(&batch, refused)?;
        }
        Ok(kept.finish()?)
    }

    /// Puts a batch into the table; returns the rows that the database does not take.
    async fn put(&mut self, batch: &RecordBatch, lines: Lines, numbered: bool) -> Tried<Refused> {
        let mut refused = lines.refused;
        if lines.rows > 0 {
            self.prepare(numbered).await?;
            self.execute("SAVEPOINT batch").await?;
            let done = match numbered {
                false => self.copy(self.plain.as_ref(), lines.bytes).await,
                true => self.merge(lines.bytes).await,
            };
            match done {
                Ok(()) => self.execute("RELEASE batch").await?,
                Err(e) if by_row(&e) => {
                    self.execute("ROLLBACK TO batch; RELEASE batch").await?;
                    refused.append(&mut self.one_by_one(batch).await?);
                    refused.sort_by_key(|(row, _)| *row);
                }
                Err(e) => return Err(self.to.target.failed(&e)),
            }
        }
        Ok(refused)
    }

    /// Makes what `copy` needs. Outside of a savepoint.
    async fn prepare(&mut self, numbered: bool) -> Tried<()> {
        let failed = |e: PgError| self.to.target.failed(&e);
        let prepared = if numbered { &mut self.texts } else { &mut self.plain };
        if prepared.is_some() {
            return Ok(());
        }
        let sql = match numbered {
            false => self.to.table.copy(),
            true => {
                self.client.batch_execute(&self.to.table.temporary()).await.map_err(failed)?;
                format!("COPY {ROWS} FROM STDIN")
            }
        };
        *prepared = Some(self.client.prepare(&sql).await.map_err(failed)?);
        Ok(())
    }

    async fn execute(&self, sql: &str) -> Tried<()> {
        self.client.batch_execute(sql).await.map_err(|e| self.to.target.failed(&e))
    }

    async fn copy(&self, into: Option<&Statement>, text: Vec<u8>) -> Result<(), PgError> {
        // It was prepared before; a savepoint that is gone back to takes nothing of it away.
        let Some(into) = into else { return Ok(()) };
        let sink = self.client.copy_in(into).await?;
        let mut sink = pin!(sink);
        let mut text = Bytes::from(text);
        while !text.is_empty() {
            let piece = text.split_to(text.len().min(256 << 10));
            sink.send(piece).await?;
        }
        sink.finish().await.map(|_| ())
    }

    async fn merge(&self, text: Vec<u8>) -> Result<(), PgError> {
        self.copy(self.texts.as_ref(), text).await?;
        let sql = format!("{}; TRUNCATE {ROWS}", self.to.table.merge(&self.kinds));
        self.client.batch_execute(&sql).await
    }

    async fn one_by_one(&mut self, batch: &RecordBatch) -> Tried<Refused> {
        let table = self.to.table.clone();
        let rows = batch.clone();
        let text = spawn_blocking(move || lines(&table, &rows, true));
        let text = text.await.map_err(|e| Error::internal(format!("rows as text: {e}")))??;
        self.prepare(true).await?;
        let failed = |e: PgError| self.to.target.failed(&e);
        self.copy(self.texts.as_ref(), text.bytes).await.map_err(failed)?;
        self.execute(&self.to.table.one_by_one(&self.kinds)).await?;
        let sql = format!("SELECT n, why FROM {REFUSED} ORDER BY n");
        let refused = self.client.query(&sql, &[]).await.map_err(failed)?;
        self.execute(&format!("TRUNCATE {ROWS}, {REFUSED}")).await?;
        let row = |row: Row| {
            let (n, why): (i64, String) = (row.get(0), row.get(1));
            (n as usize, why)
        };
        Ok(refused.into_iter().map(row).collect())
    }
}

/// Whether the rows of the batch are better looked at one by one: besides what is wrong with a row,
/// two rows whose keys are spelled in different ways.
fn by_row(error: &PgError) -> bool {
    error.code().is_some_and(|code| of_row(code) || *code == SqlState::CARDINALITY_VIOLATION)
}

fn read(
    table: std::sync::Arc<Table>,
    mut pieces: Pieces,
    numbered: bool,
) -> impl FnOnce() -> Result<Ahead> {
    move || {
        let Some(batch) = pieces.gather()? else { return Ok((pieces, None)) };
        let lines = lines(&table, &batch, numbered)?;
        Ok((pieces, Some((batch, lines))))
    }
}

//! The transaction.

use std::sync::Arc;
use std::time::Duration;

use gristmill_stage::{Clock, Result};
use rusqlite::{Connection, OptionalExtension, params};

use super::insert::insert;
use super::table::{Found, MARKS, Table, is_busy, quoted};
use crate::letters::Kept;
use crate::options::Mode;
use crate::publish::{Job, Mark, Publisher, Step};
use crate::spool::Pieces;

/// What a worker holds: the pages that SQLite keeps in memory.
pub(super) const HOLDS: u64 = 64 << 20;

/// How often a locked database is tried.
const AGAIN: Duration = Duration::from_millis(50);

/// Puts rows into an SQLite file.
pub(super) struct Sqlite {
    table: Table,
    clock: Arc<dyn Clock>,
    work: Option<Work>,
    /// Since when the database is locked.
    busy: Option<Duration>,
    /// Whether a mark was left.
    marked: bool,
}

/// An open transaction. Without a commit, nothing of it stays.
struct Work {
    connection: Connection,
    pieces: Pieces,
    /// None when all rows are in.
    kept: Option<Kept>,
}

impl Sqlite {
    pub(super) fn new(table: Table, clock: Arc<dyn Clock>) -> Self {
        Self { table, clock, work: None, busy: None, marked: false }
    }

    /// When to try again.
    fn later<T>(&mut self, error: &rusqlite::Error) -> Result<Step<T>> {
        let now = self.clock.now();
        let since = *self.busy.get_or_insert(now);
        match is_busy(error) && now < since + self.table.load.timeout.0 {
            true => Ok(Step::At(now + AGAIN)),
            false => Err(self.table.failed(error)),
        }
    }

    fn begin(&self, job: &Job) -> Result<Result<Work, rusqlite::Error>> {
        let kept = Some(Kept::create(&job.rejects, &job.rows)?);
        let pieces = Pieces::open(&job.spool, job.bytes)?;
        let connection = self.table.read_write()?;
        let started = (|| {
            connection.pragma_update(None, "cache_size", -((HOLDS >> 10) as i64))?;
            connection.execute_batch("BEGIN IMMEDIATE")?;
            if self.table.load.create {
                connection.execute_batch(&self.table.create())?;
            }
            if self.table.load.mode == Mode::Replace && job.part == 0 {
                let sql = format!("DELETE FROM {}", quoted(&self.table.name));
                connection.execute_batch(&sql)?;
            }
            Ok(())
        })();
        Ok(started.map(|()| Work { connection, pieces, kept }))
    }

    /// The part is published, and who takes the place of this worker knows it, in the same moment.
    fn commit(&mut self, job: &Job) -> rusqlite::Result<()> {
        let Some(Work { connection, .. }) = &self.work else { return Ok(()) };
        if job.marked {
            connection.execute_batch(&format!(
                "CREATE TABLE IF NOT EXISTS {MARKS} (id TEXT PRIMARY KEY, part INTEGER NOT NULL, \
                 taken INTEGER NOT NULL, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)"
            ))?;
            let sql = format!("DELETE FROM {MARKS} WHERE at < datetime('now', '-7 days')");
            connection.execute_batch(&sql)?;
            let sql = format!("REPLACE INTO {MARKS} (id, part, taken) VALUES (?1, ?2, ?3)");
            let (part, taken) = (job.mark.part as i64, job.mark.taken as i64);
            connection.execute(&sql, params![job.id, part, taken])?;
        }
        connection.execute_batch("COMMIT")
    }

    fn mark(&self, connection: &Connection, id: &str) -> rusqlite::Result<Option<Mark>> {
        if !Table::exists(connection, MARKS)? {
            return Ok(None);
        }
        let sql = format!("SELECT part, taken FROM {MARKS} WHERE id = ?1");
        let mark = |row: &rusqlite::Row<'_>| {
            let (part, taken): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(Mark { part: part as u64, taken: taken as u64 })
        };
        connection.query_row(&sql, [id], mark).optional()
    }
}

impl Publisher for Sqlite {
    fn open(&mut self, before: Option<&str>) -> Result<Step<Option<Mark>>> {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        let busy = rusqlite::Error::SqliteFailure(busy, None);
        // To write, for what a dead worker has left undone is taken back by who opens the file next.
        let Some(connection) = self.table.open(true)? else {
            self.table.missing()?;
            return Ok(Step::Done(None));
        };
        if self.table.look(&connection)? == Found::Busy {
            return self.later(&busy);
        }
        let mark = before.map_or(Ok(None), |id| self.mark(&connection, id));
        match mark {
            Ok(mark) => {
                self.busy = None;
                self.marked = mark.is_some();
                Ok(Step::Done(mark))
            }
            Err(e) => self.later(&e),
        }
    }

    fn publish(&mut self, job: &Job) -> Result<Step<()>> {
        let Some(work) = &mut self.work else {
            return match self.begin(job)? {
                Ok(work) => {
                    self.busy = None;
                    self.work = Some(work);
                    Ok(Step::Again)
                }
                Err(e) => self.later(&e),
            };
        };
        if let Some(kept) = &mut work.kept {
            if let Some(batch) = work.pieces.gather()? {
                kept.add(&batch, insert(&work.connection, &self.table, &batch)?)?;
                return Ok(Step::Again);
            }
            work.kept.take().map_or(Ok(()), Kept::finish)?;
        }
        // It is locked against readers only now, and readers end.
        match self.commit(job) {
            Ok(()) => {
                (self.work, self.busy) = (None, None);
                self.marked |= job.marked;
                Ok(Step::Done(()))
            }
            Err(e) => self.later(&e),
        }
    }

    fn forget(&mut self, id: &str) -> Step<()> {
        self.work = None;
        if !self.marked {
            return Step::Done(());
        }
        // What stays does no harm: another run removes it in a week.
        if let Ok(connection) = self.table.read_write() {
            let _ = connection.busy_timeout(AGAIN);
            let _ = (|| {
                connection.execute_batch("BEGIN IMMEDIATE")?;
                connection.execute(&format!("DELETE FROM {MARKS} WHERE id = ?1"), [id])?;
                let sql = format!("SELECT count(*) FROM {MARKS}");
                if connection.query_row(&sql, [], |row| row.get::<_, i64>(0))? == 0 {
                    connection.execute_batch(&format!("DROP TABLE {MARKS}"))?;
                }
                connection.execute_batch("COMMIT")
            })();
        }
        Step::Done(())
    }
}

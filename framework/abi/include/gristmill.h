/* gristmill.h: the interface between Gristmill and plugins, version 1.1.
 *
 * A plugin is a shared library that brings kinds of stages. It includes this file, needs nothing else,
 * and exports one function:
 *
 *     const struct GristmillPlugin *gristmill_plugin(void);
 *
 * (or several plugins in one library: gristmill_plugin_ and a name each; exactly one must be there).
 * It may be called more than once and returns the same tables each time. They, and all that they point
 * to, stay as they are until the process ends: a plugin is never unloaded.
 *
 * The rules
 *
 * - Threads: the host makes one call of a stage at a time, but not always from the same thread. Calls of
 *   different stages come at the same time. What a plugin shares between stages it must lock.
 * - Memory: each allocation is freed by who made it. Arrays and schemas carry their release callback, as
 *   the Arrow C Data Interface says; it may be called from any thread. What is handed over by a pointer
 *   to const is lent until the call returns, unless it says otherwise.
 * - Texts are UTF-8 with a length and without a zero at the end.
 * - Errors: a call that can fail returns GRISTMILL_OK or GRISTMILL_FAILED. In the second case it has
 *   filled in the failure that it was given; gristmill_fail() does that. After a failure the host makes
 *   no call but close().
 * - Nothing may be thrown across: no C++ exception, no longjmp.
 * - A call is short. A stage that waits for something else returns, and wakes itself from a thread of its
 *   own by host->wake(). If its calls do wait, it says so in its plan: {"blocks": true}.
 * - What one call emits is about one batch. A stage that has more keeps the rest, says 0 in ready() and
 *   0 in wake_at(), and goes on in wake().
 * - stdout belongs to the pipeline. Write to stderr.
 *
 * The versions
 *
 * Tables that begin with struct_size (GristmillPlugin has magic before it) are only ever added to at their
 * ends, and the minor grows then. A plugin that was built for another minor loads, older or newer: each
 * side reads as much as both know. Ask GRISTMILL_HAS(table, field) before you read a field of the host that
 * came later than 1.0, as is said of each; the functions at the end of this file do so. What has no
 * struct_size stays as it is for the whole major: GristmillText, GristmillBuffer, GristmillWriter,
 * GristmillNext and GristmillPart. Another major is refused. Fields that are not set must be zero: initialise
 * tables by name, and the compiler sees to it.
 *
 * 1.1 added readings() of a kind, the calls of the host about them, and reject_as() of the output.
 */
#ifndef GRISTMILL_H
#define GRISTMILL_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GRISTMILL_MAGIC UINT64_C(0x67726973746d696c) /* "gristmil" */
#define GRISTMILL_MAJOR 1
#define GRISTMILL_MINOR 1

/* ---- The Arrow C Data Interface, https://arrow.apache.org/docs/format/CDataInterface.html ---- */

#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

/* The type of a column: format is "l" for int64, "g" for float64, "u" for text, "b" for boolean and so
 * on. A batch is one column of the type "+s", whose children are its columns. */
struct ArrowSchema {
  const char *format;
  const char *name;
  const char *metadata;
  int64_t flags;
  int64_t n_children;
  struct ArrowSchema **children;
  struct ArrowSchema *dictionary;
  void (*release)(struct ArrowSchema *);
  void *private_data;
};

/* The values of a column, or, with children, the rows of a batch. Row i is at offset + i of the buffers,
 * and at offset + i of the children of a batch, which have offsets of their own. */
struct ArrowArray {
  int64_t length;
  int64_t null_count;
  int64_t offset;
  int64_t n_buffers;
  int64_t n_children;
  const void **buffers;
  struct ArrowArray **children;
  struct ArrowArray *dictionary;
  void (*release)(struct ArrowArray *);
  void *private_data;
};

#endif /* ARROW_C_DATA_INTERFACE */

/* Whether a table of the host, given by a pointer, goes as far as a field of it: not in an older host. */
#define GRISTMILL_HAS(table, field) \
  ((table)->struct_size >= (size_t)((const char *)(&(table)->field + 1) - (const char *)(table)))

/* ---- Texts ---- */

/* A text that is lent. No text is {NULL, 0}. */
struct GristmillText {
  const char *data;
  size_t size;
};

/* A literal as a text, also in tables: .name = GRISTMILL_TEXT("clean"). */
#define GRISTMILL_TEXT(literal) { literal, sizeof(literal) - 1 }

/* Memory of the caller for a text of the callee. */
struct GristmillBuffer {
  char *data;
  size_t capacity;
  size_t size; /* Set by the callee. */
};

/* Takes a text of any length, piece by piece: out->write(out->handle, text). */
struct GristmillWriter {
  void *handle;
  void (*write)(void *handle, struct GristmillText text);
};

/* ---- Errors ---- */

#define GRISTMILL_OK 0
#define GRISTMILL_FAILED 1

#define GRISTMILL_ERROR_OPTIONS 1  /* An option is missing or wrong. */
#define GRISTMILL_ERROR_SCHEMA 2   /* A column is missing, or of a type that cannot work. */
#define GRISTMILL_ERROR_DATA 3     /* The data cannot be used. Better reject the rows. */
#define GRISTMILL_ERROR_IO 4       /* A file, socket or service failed. */
#define GRISTMILL_ERROR_CLOSED 5   /* Who takes the output of a sink has left: ends the run without blame. */
#define GRISTMILL_ERROR_RESTORE 6  /* A snapshot does not fit. */
#define GRISTMILL_ERROR_PANIC 7    /* The plugin has caught what it cannot go on from. */
#define GRISTMILL_ERROR_INTERNAL 8 /* Anything else. */

/* Why a call failed. All memory is the caller's. */
struct GristmillFailure {
  size_t struct_size;
  int32_t kind;                   /* GRISTMILL_ERROR_... */
  int32_t has_option;             /* 1 if option says which one is to blame. */
  struct GristmillBuffer message; /* A sentence for people: what was wrong. */
  struct GristmillBuffer option;  /* A path: fields.price.css, urls[2]; empty for the whole of `with`. */
  struct GristmillBuffer column;  /* The input column that is to blame. */
  struct GristmillBuffer help;    /* What would be right. */
};

/* ---- Options ---- */

/* What stands under `with` in the pipeline. It was checked against the JSON Schema of the kind. */
struct GristmillOptions {
  size_t struct_size;
  struct GristmillText json; /* All of it. */
  const void *handle;        /* The first argument of the calls. */
  /* Each reads the option at a path and returns 1 if it is there, 0 if it is missing or null, and -1 if
   * it is something else. Texts live as long as the options. */
  int32_t (*text)(const void *handle, struct GristmillText path, struct GristmillText *value);
  int32_t (*integer)(const void *handle, struct GristmillText path, int64_t *value);
  int32_t (*number)(const void *handle, struct GristmillText path, double *value);
  int32_t (*boolean)(const void *handle, struct GristmillText path, int32_t *value);
};

/* ---- Plans ---- */

/* Takes what a kind plans. Columns come out in the order of the calls; a sink makes none of them. What
 * is wrong in what it is given fails the plan. */
struct GristmillPlan {
  size_t struct_size;
  void *handle;
  /* All columns of the input. */
  void (*keep_input)(void *handle);
  /* One column; its type is a format of the Arrow C Data Interface without columns inside: for those there is
   * schema(). */
  void (*column)(void *handle, struct GristmillText name, struct GristmillText format, int32_t nullable);
  /* The children of a schema of the type "+s". It is moved: its release is NULL afterwards. */
  void (*schema)(void *handle, struct ArrowSchema *schema);
  /* All else, as one JSON object; at the most once. Every key may be left out:
   *   "ports": ["left", "right"]      names of its outputs, if there are several
   *   "keyed": ["column"]             rows that are equal in these must meet in one worker
   *   "single": "why"                 there can be one worker only
   *   "reads": ["path"], "writes": ["path"]   files
   *   "holds": 1000000                the most bytes that a worker holds besides the batch in hand
   *   "blocks": true                  its calls may wait for something outside
   *   "once": true                    its rows come only once, as those of stdin
   *   "notes": ["line"]               for whoever reads the plan
   *   "lineage", "passes_only", "takes_hints", "steps"   see the Rust crate gristmill-stage */
  void (*details)(void *handle, struct GristmillText json);
};

/* ---- What a stage is told ---- */

/* The run. Every call may come from any thread, also outside of calls of the stage. The table is there
 * until close() returns, and longer for who has retained it: a thread that outlives the stage. */
struct GristmillHost {
  size_t struct_size;
  const void *handle;
  void (*retain)(const void *handle);
  void (*release)(const void *handle);
  void (*wake)(const void *handle);   /* Lets wake() or poll() be called soon. */
  uint64_t (*now)(const void *handle); /* Nanoseconds since the run began. Use no other clock. */
  int64_t (*wall)(const void *handle); /* Nanoseconds since 1970. */
  /* Writes a text without the secrets of the pipeline, for what a stage shows to people. */
  void (*redact)(const void *handle, struct GristmillText text, const struct GristmillWriter *out);

  /* Since 1.1: what the stage knows of its work, as readings() of its kind declares it. gristmill_reading()
   * and the calls below it look whether the host has these. */

  /* The number of a reading, or of one value of its label; value is empty for a reading without one. -1
   * if there is none. It stays the same for this worker: ask once, in open(). */
  int64_t (*reading)(const void *handle, struct GristmillText name, struct GristmillText value);
  /* These are quick, and wait for nothing. What does not fit the reading does nothing, as -1 does. */
  void (*add)(const void *handle, int64_t reading, uint64_t more); /* A counter grows. */
  void (*set)(const void *handle, int64_t reading, double value);  /* A gauge is this from now on. */
  void (*change)(const void *handle, int64_t reading, double by);  /* A gauge is so much more, or less. */
  void (*record)(const void *handle, int64_t reading, double value); /* A histogram takes a value. */
};

/* A named batch of a snapshot. */
struct GristmillPart {
  struct GristmillText name;
  struct ArrowSchema schema; /* The host releases it. */
  struct ArrowArray rows;    /* May be moved out; the host releases what is left. */
};

/* A snapshot to go on from. Refuse versions that you do not know: GRISTMILL_ERROR_RESTORE. */
struct GristmillRestored {
  size_t struct_size;
  uint32_t version;
  int32_t has_value; /* 1 if it was written by value(). */
  struct GristmillText value;
  struct GristmillPart *parts;
  size_t part_count;
};

/* What one worker is told when it is opened. */
struct GristmillContext {
  size_t struct_size;
  struct GristmillText stage; /* Its name in the pipeline. */
  uint64_t instance;          /* Which worker it is, from 0. */
  uint64_t instances;         /* How many there are. */
  /* Columns of the batches that come, NULL for a source. Batches have exactly these columns: they come
   * as arrays alone. Texts have 32-bit offsets ("u"), never views. */
  const struct ArrowSchema *input;
  const struct ArrowSchema *output; /* Columns of the batches to emit. */
  uint64_t batch_rows;              /* Rows in an emitted batch, at the most. */
  uint64_t batch_bytes;             /* Bytes in an emitted batch, about. */
  int32_t ordered;                  /* 1 if output must come in the order of the input. */
  int32_t resumable;                /* 1 if another run may go on from its snapshots. */
  struct GristmillText hints;       /* JSON: what is asked of its rows further on. */
  struct GristmillText origins;     /* JSON: {"demo": "http://127.0.0.1:4711"}. */
  const struct GristmillRestored *restored; /* NULL: from the beginning. */
  const struct GristmillHost *host;         /* Stays beyond the call, see there. */
};

/* ---- What a stage puts out ---- */

/* Classes of the reasons for which rows are rejected: they are counted by these. Another number counts as the
 * data. */
#define GRISTMILL_CAUSE_DATA 0    /* Something in the row is missing, or not as it must be. */
#define GRISTMILL_CAUSE_IO 1      /* Something outside has failed: a server, a file. */
#define GRISTMILL_CAUSE_LATE 2    /* It came too late. */
#define GRISTMILL_CAUSE_REFUSED 3 /* Whoever should take it has refused it: a database, a program. */

/* Where a stage puts its rows during a call. Not to be kept, and used from the thread of that call alone; so are
 * the tables that take a plan or a snapshot. */
struct GristmillOutput {
  size_t struct_size;
  void *handle;
  /* Hands on a batch of the planned columns, by one of the outputs: 0, unless the plan has "ports". The
   * array is moved in any case. Pass a failure on: return GRISTMILL_FAILED. */
  int32_t (*emit)(void *handle, uint32_t port, struct ArrowArray *batch, struct GristmillFailure *failure);
  /* Sends rows to the dead letters, with the reason in a sentence. schema is NULL if they have the
   * columns of the input. Both are moved in any case. */
  int32_t (*reject)(void *handle, struct ArrowArray *rows, struct ArrowSchema *schema,
                    struct GristmillText reason, struct GristmillFailure *failure);
  /* Since 1.1: the same with the class of the reason, which reject() takes for the data. See
   * gristmill_reject(). */
  int32_t (*reject_as)(void *handle, struct ArrowArray *rows, struct ArrowSchema *schema, int32_t cause,
                       struct GristmillText reason, struct GristmillFailure *failure);
};

#define GRISTMILL_NEXT_NOW 0  /* Poll again as soon as there is room. */
#define GRISTMILL_NEXT_AT 1   /* Poll again at this time, or when woken. */
#define GRISTMILL_NEXT_WAIT 2 /* Poll again when woken. */
#define GRISTMILL_NEXT_DONE 3 /* The source is at its end. */

struct GristmillNext {
  int32_t when;
  int32_t reserved;
  uint64_t at; /* Nanoseconds of the run. */
};

/* Takes a snapshot. A stage that calls none of it has no state: an equal one, newly opened, goes on as
 * well. The version is that of the layout, chosen by the stage. */
struct GristmillStateWriter {
  size_t struct_size;
  void *handle;
  void (*version)(void *handle, uint32_t version);
  /* A named batch. Both are moved. Parts named "rows" hold rows as they came in and were not worked off. */
  void (*part)(void *handle, struct GristmillText name, struct ArrowSchema *schema, struct ArrowArray *rows);
  /* The whole state is one text, such as a position. */
  void (*value)(void *handle, uint32_t version, struct GristmillText value);
};

/* ---- A kind of stage ---- */

#define GRISTMILL_SOURCE 1
#define GRISTMILL_TRANSFORM 2
#define GRISTMILL_SINK 3

#define GRISTMILL_NEVER UINT64_MAX

struct GristmillKind {
  size_t struct_size;
  int32_t role; /* GRISTMILL_SOURCE, GRISTMILL_TRANSFORM or GRISTMILL_SINK. */
  int32_t reserved;
  struct GristmillText name;    /* The word after `type:`. */
  struct GristmillText summary; /* What it does, in one line. */
  struct GristmillText example; /* A stage of this kind in YAML, without the dash: type: clean */
  struct GristmillText input;   /* The columns it takes, in words. */
  struct GristmillText output;  /* The columns it emits, in words. */

  /* Writes the JSON Schema of the options: {"type": "object", "properties": {...}, "required": [...],
   * "additionalProperties": false}. Descriptions in it are the documentation of the options. */
  void (*options_schema)(const struct GristmillWriter *out);

  /* Checks options against the columns of the input, NULL for a source, and says what comes out. Opens
   * nothing, changes nothing; `gristmill check` calls it. */
  int32_t (*plan)(const struct GristmillOptions *options, const struct ArrowSchema *input,
                  const struct GristmillPlan *plan, struct GristmillFailure *failure);

  /* Makes one worker and sets *stage, which the other calls get. plan() has accepted the options before.
   * After a failure there is no stage, and close() is not called. */
  int32_t (*open)(const struct GristmillOptions *options, const struct GristmillContext *context,
                  void **stage, struct GristmillFailure *failure);
  /* Frees it. The last call. */
  void (*close)(void *stage);

  /* Transforms and sinks. process is needed; what is left out does nothing, or says what stands there. */

  /* A batch has come; it may be empty. It belongs to the stage now: move it, or release it. */
  int32_t (*process)(void *stage, struct ArrowArray *batch, const struct GristmillOutput *out,
                     struct GristmillFailure *failure);
  /* The time of wake_at() has come, or host->wake() was called. */
  int32_t (*wake)(void *stage, const struct GristmillOutput *out, struct GristmillFailure *failure);
  /* The input has ended: emit what is held, about one batch; while holding() says 1, wake() is called
   * first and then this again. */
  int32_t (*finish)(void *stage, const struct GristmillOutput *out, struct GristmillFailure *failure);
  int32_t (*ready)(void *stage);    /* Whether it takes input now. Left out: 1. */
  int32_t (*done)(void *stage);     /* Whether it needs no more input, whatever comes. Left out: 0. */
  int32_t (*holding)(void *stage);  /* Whether rows will come out without more input. Left out: 0. */
  uint64_t (*wake_at)(void *stage); /* When to call wake(); 0 for at once. Left out: GRISTMILL_NEVER. */

  /* Sources. poll is needed. */

  /* Emits the next rows, about one batch, and says when to come again. */
  int32_t (*poll)(void *stage, const struct GristmillOutput *out, struct GristmillNext *next,
                  struct GristmillFailure *failure);
  /* The run is to end: sets *poll_on to 1 if poll() must be called until it is done, because rows were
   * taken that nobody can take again. Left out: 0. */
  int32_t (*stop)(void *stage, int32_t *poll_on, struct GristmillFailure *failure);

  /* All. */

  /* What another worker needs to go on from here: all that was taken in and is not yet put out, or the
   * position of a source. The stage goes on afterwards. A stage that holds anything must have it. */
  int32_t (*snapshot)(void *stage, const struct GristmillStateWriter *state,
                      struct GristmillFailure *failure);
  /* The snapshot of this epoch is durable: what was staged before it may be published. */
  int32_t (*committed)(void *stage, uint64_t epoch, struct GristmillFailure *failure);

  /* Since 1.1: what stages of the kind alone can know of their work; each becomes a metric, named after the
   * kind, in every mode. Writes a JSON list of
   *   {"name": "cache_misses",      letters from a to z, digits and `_`; without the kind and the unit
   *    "measure": "counter",        counter: only grows; gauge: goes up and down; lowest: a gauge of which
   *                                 that of the lowest worker counts; histogram
   *    "help": "Rows that were not in the cache.",
   *    "unit": "seconds",           or "bytes"; left out where there is none
   *    "label": "status", "values": ["2xx", "5xx"]     a number for each value; left out where there is one
   *    "bounds": [0.01, 0.1, 1]}    of a histogram, rising
   * All series are known from this, at most a thousand in all: nothing that is in the rows becomes one.
   * Members that are not known are passed over; measures and units stay these for the whole major. */
  void (*readings)(const struct GristmillWriter *out);
};

/* ---- The plugin ---- */

struct GristmillPlugin {
  uint64_t magic;     /* GRISTMILL_MAGIC */
  size_t struct_size; /* sizeof(struct GristmillPlugin) */
  uint32_t major;     /* GRISTMILL_MAJOR */
  uint32_t minor;     /* GRISTMILL_MINOR */
  struct GristmillText software; /* Name and version, for people. */
  const struct GristmillKind *const *kinds;
  size_t kind_count;
};

/* ---- Help ---- */

/* Puts a text into a buffer; what finds no room is cut off. */
static inline void gristmill_put(struct GristmillBuffer *buffer, const char *text) {
  size_t size = strlen(text);
  if (size > buffer->capacity) size = buffer->capacity;
  memcpy(buffer->data, text, size);
  buffer->size = size;
}

/* return gristmill_fail(failure, GRISTMILL_ERROR_IO, "the file is gone"); */
static inline int32_t gristmill_fail(struct GristmillFailure *failure, int32_t kind, const char *message) {
  failure->kind = kind;
  gristmill_put(&failure->message, message);
  return GRISTMILL_FAILED;
}

/* An option is wrong. help may be NULL. */
static inline int32_t gristmill_fail_option(struct GristmillFailure *failure, const char *path,
                                            const char *message, const char *help) {
  failure->has_option = 1;
  gristmill_put(&failure->option, path);
  if (help) gristmill_put(&failure->help, help);
  return gristmill_fail(failure, GRISTMILL_ERROR_OPTIONS, message);
}

/* A column of the input is missing or cannot be used. */
static inline int32_t gristmill_fail_column(struct GristmillFailure *failure, const char *column,
                                            const char *message) {
  gristmill_put(&failure->column, column);
  return gristmill_fail(failure, GRISTMILL_ERROR_SCHEMA, message);
}

/* The number of a reading, or of a value of its label; -1, with which the calls below do nothing, if there is
 * none, and in a host of 1.0. A reading without a label has the value {NULL, 0}. */
static inline int64_t gristmill_reading(const struct GristmillHost *host, struct GristmillText name,
                                        struct GristmillText value) {
  return GRISTMILL_HAS(host, record) && host->reading ? host->reading(host->handle, name, value) : -1;
}

/* A counter grows. */
static inline void gristmill_add(const struct GristmillHost *host, int64_t reading, uint64_t more) {
  if (reading >= 0) host->add(host->handle, reading, more);
}

/* A gauge is this from now on. */
static inline void gristmill_set(const struct GristmillHost *host, int64_t reading, double value) {
  if (reading >= 0) host->set(host->handle, reading, value);
}

/* A gauge is so much more from now on, or less. */
static inline void gristmill_change(const struct GristmillHost *host, int64_t reading, double by) {
  if (reading >= 0) host->change(host->handle, reading, by);
}

/* A histogram takes a value. */
static inline void gristmill_record(const struct GristmillHost *host, int64_t reading, double value) {
  if (reading >= 0) host->record(host->handle, reading, value);
}

/* Sends rows to the dead letters with a class, GRISTMILL_CAUSE_..., which a host of 1.0 does not count. See
 * reject() of the output for the rest. */
static inline int32_t gristmill_reject(const struct GristmillOutput *out, struct ArrowArray *rows,
                                       struct ArrowSchema *schema, int32_t cause, struct GristmillText reason,
                                       struct GristmillFailure *failure) {
  if (GRISTMILL_HAS(out, reject_as) && out->reject_as)
    return out->reject_as(out->handle, rows, schema, cause, reason, failure);
  return out->reject(out->handle, rows, schema, reason, failure);
}

/* The place of a column among the children of a schema, or -1. */
static inline int64_t gristmill_find(const struct ArrowSchema *schema, struct GristmillText name) {
  for (int64_t i = 0; i < schema->n_children; i++) {
    const char *own = schema->children[i]->name;
    if (own && strlen(own) == name.size && memcmp(own, name.data, name.size) == 0) return i;
  }
  return -1;
}

#ifdef __cplusplus
}
#endif

#endif /* GRISTMILL_H */

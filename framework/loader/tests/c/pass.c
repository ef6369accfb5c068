/* A plugin in C that hands its input on, and, with some words defined, does something wrong. */
#include <gristmill.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef MAGIC
#define MAGIC GRISTMILL_MAGIC
#endif
#ifndef MAJOR
#define MAJOR GRISTMILL_MAJOR
#endif
#ifndef MINOR
#define MINOR GRISTMILL_MINOR
#endif
#ifndef NAME
#define NAME "pass"
#endif
#ifndef SCHEMA
#define SCHEMA "{\"type\": \"object\", \"additionalProperties\": true}"
#endif

static void options_schema(const struct GristmillWriter *out) {
  static const struct GristmillText schema = GRISTMILL_TEXT(SCHEMA);
#ifdef ENDLESS_SCHEMA
  for (int i = 0; i < (1 << 22); i++) out->write(out->handle, schema);
#endif
  out->write(out->handle, schema);
}

#ifdef READINGS
static void readings(const struct GristmillWriter *out) {
  static const struct GristmillText declared = GRISTMILL_TEXT(READINGS);
  out->write(out->handle, declared);
}
#endif

static int32_t plan(const struct GristmillOptions *options, const struct ArrowSchema *input,
                    const struct GristmillPlan *plan, struct GristmillFailure *failure) {
  (void)options;
  (void)input;
  (void)failure;
#ifdef PLAN_BAD_FORMAT
  static const struct GristmillText name = GRISTMILL_TEXT("x"), format = GRISTMILL_TEXT("?!");
  plan->column(plan->handle, name, format, 1);
#endif
#ifdef PLAN_LIST
  static const struct GristmillText name = GRISTMILL_TEXT("x"), format = GRISTMILL_TEXT("+l");
  plan->column(plan->handle, name, format, 1);
#endif
#ifdef PLAN_VIEW
  static const struct GristmillText name = GRISTMILL_TEXT("x"), format = GRISTMILL_TEXT("vu");
  plan->column(plan->handle, name, format, 1);
#endif
#ifdef PLAN_LONG_NAME
  static char much[5000];
  memset(much, 'x', sizeof much);
  static const struct GristmillText name = {much, sizeof much}, format = GRISTMILL_TEXT("l");
  plan->column(plan->handle, name, format, 1);
#endif
#ifdef PLAN_TWICE
  plan->keep_input(plan->handle);
#endif
#ifdef PLAN_BAD_DETAILS
  static const struct GristmillText details = GRISTMILL_TEXT("{\"ports\": 5}");
  plan->details(plan->handle, details);
#endif
#ifdef PLAN_FAILS_SILENTLY
  return GRISTMILL_FAILED;
#endif
  plan->keep_input(plan->handle);
  return GRISTMILL_OK;
}

struct Stage {
  int64_t rows;
  const struct GristmillHost *host;
  int64_t rows_total, held, left, took;
  char much[2000]; /* So that one that is not freed shows. */
};

static int32_t open_stage(const struct GristmillOptions *options, const struct GristmillContext *context,
                          void **out, struct GristmillFailure *failure) {
  (void)options;
  struct Stage *stage = calloc(1, sizeof *stage);
  if (!stage) return gristmill_fail(failure, GRISTMILL_ERROR_INTERNAL, "there is no memory");
  stage->host = context->host;
  static const struct GristmillText none = {NULL, 0}, rows_total = GRISTMILL_TEXT("rows"),
                                    held = GRISTMILL_TEXT("held"), side = GRISTMILL_TEXT("side"),
                                    left = GRISTMILL_TEXT("left"), took = GRISTMILL_TEXT("took");
  stage->rows_total = gristmill_reading(stage->host, rows_total, none);
  stage->held = gristmill_reading(stage->host, held, none);
  stage->left = gristmill_reading(stage->host, side, left);
  stage->took = gristmill_reading(stage->host, took, none);
  if (context->restored) {
    if (context->restored->version != 1 || !context->restored->has_value) {
      free(stage);
      return gristmill_fail(failure, GRISTMILL_ERROR_RESTORE, "this is no snapshot of mine");
    }
    char text[32] = "";
    memcpy(text, context->restored->value.data, context->restored->value.size);
    stage->rows = atoll(text);
  }
  *out = stage;
  return GRISTMILL_OK;
}

static void close_stage(void *stage) { free(stage); }

static int32_t process(void *state, struct ArrowArray *batch, const struct GristmillOutput *out,
                       struct GristmillFailure *failure) {
  struct Stage *stage = state;
  stage->rows += batch->length;
  gristmill_add(stage->host, stage->rows_total, (uint64_t)batch->length);
  gristmill_add(stage->host, stage->left, 1);
  gristmill_set(stage->host, stage->held, 7);
  gristmill_change(stage->host, stage->held, -2);
  gristmill_record(stage->host, stage->took, 0.5);
#ifdef READS_WRONGLY
  /* None of these is a reading that it can be said of. */
  const struct GristmillHost *host = stage->host;
  host->add(host->handle, -1, 1);
  host->add(host->handle, 4711, 1);
  host->set(host->handle, stage->rows_total, 99);
  host->record(host->handle, stage->held, 99);
  host->add(host->handle, stage->took, 99);
#endif
#if defined(FREES_TWICE) || defined(WILD)
  const struct ArrowArray *column = batch->children[0];
  const int64_t *values = column->buffers[1];
  for (int64_t i = 0; i < batch->length; i++) {
    if (values[batch->offset + column->offset + i] != 7) continue;
#ifdef FREES_TWICE
    void *volatile memory = malloc(100);
    free(memory);
    free(memory);
#else
    *(volatile int *)8 = 1;
#endif
  }
#endif
#ifdef BAD_TEXT
  /* Bytes that are no text, in every column of texts. */
  static char bad[1 << 16];
  memset(bad, 0xff, sizeof bad);
  for (int64_t i = 0; i < batch->n_children; i++)
    if (batch->children[i]->n_buffers == 3) batch->children[i]->buffers[2] = bad;
#endif
#ifdef FEWER_COLUMNS
  batch->n_children -= 1;
#endif
#ifdef NEGATIVE
  batch->length = -5;
#endif
#ifdef NO_BATCH
  return out->emit(out->handle, 0, NULL, failure);
#endif
#ifdef RELEASED
  batch->release(batch);
#endif
#ifdef FAILS_SILENTLY
  return GRISTMILL_FAILED;
#endif
#ifdef FAILS_AT_LENGTH
  char message[10000];
  memset(message, 'x', sizeof message);
  message[sizeof message - 1] = 0;
  return gristmill_fail(failure, GRISTMILL_ERROR_DATA, message);
#endif
#ifdef UNKNOWN_ERROR
  return gristmill_fail(failure, 99, "an error of a later minor");
#endif
#ifdef WRONG_PORT
  return out->emit(out->handle, 7, batch, failure);
#endif
#ifdef REJECTS
  static const struct GristmillText reason = GRISTMILL_TEXT("not today");
  return out->reject(out->handle, batch, NULL, reason, failure);
#endif
#ifdef REJECTS_AS
  static const struct GristmillText why = GRISTMILL_TEXT("not today");
  return gristmill_reject(out, batch, NULL, REJECTS_AS, why, failure);
#endif
#ifdef REJECTS_AT_LENGTH
  static char why[1 << 20];
  memset(why, 'x', sizeof why);
  static const struct GristmillText reason = {why, sizeof why};
  return out->reject(out->handle, batch, NULL, reason, failure);
#endif
#ifdef SWALLOWS_THE_ERROR
  out->emit(out->handle, 7, batch, failure);
  return GRISTMILL_OK;
#endif
  return out->emit(out->handle, 0, batch, failure);
}

static int32_t snapshot(void *state, const struct GristmillStateWriter *writer,
                        struct GristmillFailure *failure) {
  (void)failure;
  struct Stage *stage = state;
  char text[32];
  int size = snprintf(text, sizeof text, "%lld", (long long)stage->rows);
  struct GristmillText value = {text, (size_t)size};
  writer->value(writer->handle, 1, value);
  return GRISTMILL_OK;
}

#ifdef LATER
/* What a later minor may have added. */
struct Later {
  struct GristmillKind kind;
  void (*later)(void);
};
static const struct Later later = {
    .kind = {
#define END },
#else
static const struct GristmillKind pass = {
#define END
#endif
#ifdef SHORT
    .struct_size = 16,
#elif defined(LATER)
    .struct_size = sizeof(struct Later),
#else
    .struct_size = sizeof(struct GristmillKind),
#endif
    .role = GRISTMILL_TRANSFORM,
    .name = GRISTMILL_TEXT(NAME),
    .summary = GRISTMILL_TEXT("Hands its input on."),
    .example = GRISTMILL_TEXT("type: pass"),
    .input = GRISTMILL_TEXT("any"),
    .output = GRISTMILL_TEXT("the same"),
    .options_schema = options_schema,
    .plan = plan,
    .open = open_stage,
    .close = close_stage,
#ifndef NO_PROCESS
    .process = process,
#endif
    .snapshot = snapshot,
#ifdef READINGS
    .readings = readings,
#endif
    END
};

#ifdef LATER
static const struct GristmillKind *const kinds[] = {&later.kind};
#elif defined(TWO)
static const struct GristmillKind *const kinds[] = {&pass, &pass};
#else
static const struct GristmillKind *const kinds[] = {&pass};
#endif

static const struct GristmillPlugin plugin = {
    .magic = MAGIC,
    .struct_size = sizeof(struct GristmillPlugin),
    .major = MAJOR,
    .minor = MINOR,
    .software = GRISTMILL_TEXT("pass 1.0"),
    .kinds = kinds,
#ifdef NO_KINDS
    .kind_count = 0,
#elif defined(KINDS)
    .kind_count = KINDS,
#else
    .kind_count = sizeof kinds / sizeof *kinds,
#endif
};

#ifdef UNDEFINED
extern int nobody_has_this(void);
#endif

#ifndef ENTRY
#define ENTRY gristmill_plugin
#endif
const struct GristmillPlugin *ENTRY(void);
const struct GristmillPlugin *ENTRY(void) {
#ifdef UNDEFINED
  nobody_has_this();
#endif
#ifdef NULL_TABLE
  return NULL;
#endif
#ifdef NO_PROCESS
  (void)process;
#endif
  return &plugin;
}

#ifdef SECOND
const struct GristmillPlugin *gristmill_plugin_second(void);
const struct GristmillPlugin *gristmill_plugin_second(void) { return &plugin; }
#endif

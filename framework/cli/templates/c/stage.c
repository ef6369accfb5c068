/* `{{kind}}`: hands on the rows in which a column is at least some number. Rows that are left out are cut
 * off by slices: nothing is copied. */
#include "gristmill.h"

#include <stdlib.h>

/* ---- What the kind says of itself ---- */

static void options_schema(const struct GristmillWriter *out) {
  static const struct GristmillText schema = GRISTMILL_TEXT(
      "{\"type\": \"object\","
      " \"properties\": {"
      "  \"column\": {\"type\": \"string\", \"description\": \"A column of whole numbers.\"},"
      "  \"least\": {\"type\": \"integer\", \"description\": \"Rows with less are left out.\"}},"
      " \"required\": [\"column\", \"least\"],"
      " \"additionalProperties\": false}");
  out->write(out->handle, schema);
}

static int32_t find(const struct GristmillOptions *options, const struct ArrowSchema *input,
                    int64_t *place, struct GristmillFailure *failure) {
  static const struct GristmillText key = GRISTMILL_TEXT("column");
  struct GristmillText name = {NULL, 0};
  options->text(options->handle, key, &name);
  *place = gristmill_find(input, name);
  if (*place < 0 || strcmp(input->children[*place]->format, "l") != 0)
    return gristmill_fail_option(failure, "column", "there is no such column of whole numbers",
                                 "name an int64 column of the input");
  return GRISTMILL_OK;
}

/* Checks the options against the input and says what comes out; `gristmill check` calls it. */
static int32_t plan(const struct GristmillOptions *options, const struct ArrowSchema *input,
                    const struct GristmillPlan *plan, struct GristmillFailure *failure) {
  int64_t place;
  if (find(options, input, &place, failure)) return GRISTMILL_FAILED;
  plan->keep_input(plan->handle);
  return GRISTMILL_OK;
}

/* ---- One worker ---- */

struct Stage {
  int64_t place;
  int64_t least;
};

static int32_t open_stage(const struct GristmillOptions *options, const struct GristmillContext *context,
                          void **out, struct GristmillFailure *failure) {
  static const struct GristmillText key = GRISTMILL_TEXT("least");
  struct Stage *stage = calloc(1, sizeof *stage);
  if (!stage) return gristmill_fail(failure, GRISTMILL_ERROR_INTERNAL, "there is no memory");
  if (find(options, context->input, &stage->place, failure)) {
    free(stage);
    return GRISTMILL_FAILED;
  }
  options->integer(options->handle, key, &stage->least);
  *out = stage;
  return GRISTMILL_OK;
}

static void close_stage(void *stage) { free(stage); }

/* A run of rows of a batch that several runs share; the last one frees it. */
struct Shared {
  struct ArrowArray whole;
  int users;
};

static void let_go(struct Shared *shared) {
  if (__atomic_sub_fetch(&shared->users, 1, __ATOMIC_ACQ_REL) > 0) return;
  shared->whole.release(&shared->whole);
  free(shared);
}

static void release_run(struct ArrowArray *array) {
  let_go(array->private_data);
  array->release = NULL;
}

static int32_t emit_run(struct Shared *shared, int64_t from, int64_t to, const struct GristmillOutput *out,
                        struct GristmillFailure *failure) {
  struct ArrowArray run = shared->whole;
  run.offset += from;
  run.length = to - from;
  run.null_count = 0;
  run.release = release_run;
  run.private_data = shared;
  __atomic_add_fetch(&shared->users, 1, __ATOMIC_ACQ_REL);
  return out->emit(out->handle, 0, &run, failure);
}

static int32_t process(void *state, struct ArrowArray *batch, const struct GristmillOutput *out,
                       struct GristmillFailure *failure) {
  const struct Stage *stage = state;
  struct Shared *shared = calloc(1, sizeof *shared);
  if (!shared) {
    batch->release(batch);
    return gristmill_fail(failure, GRISTMILL_ERROR_INTERNAL, "there is no memory");
  }
  shared->whole = *batch; /* Moved. */
  shared->users = 1;
  batch->release = NULL;

  const struct ArrowArray *column = shared->whole.children[stage->place];
  const uint8_t *valid = column->buffers[0];
  const int64_t *values = column->buffers[1];
  int64_t first = shared->whole.offset + column->offset;
  int64_t rows = shared->whole.length, from = -1;
  int32_t code = GRISTMILL_OK;
  for (int64_t row = 0; row <= rows && code == GRISTMILL_OK; row++) {
    int64_t at = first + row;
    int kept = row < rows && (!valid || (valid[at / 8] >> (at % 8) & 1)) && values[at] >= stage->least;
    if (kept && from < 0) from = row;
    if (!kept && from >= 0) {
      code = emit_run(shared, from, row, out, failure);
      from = -1;
    }
  }
  let_go(shared);
  return code;
}

/* ---- The plugin ---- */

static const struct GristmillKind kind = {
    .struct_size = sizeof(struct GristmillKind),
    .role = GRISTMILL_TRANSFORM,
    .name = GRISTMILL_TEXT("{{kind}}"),
    .summary = GRISTMILL_TEXT("Hands on the rows in which a column is at least some number."),
    .example = GRISTMILL_TEXT("type: {{kind}}\nwith: { column: n, least: 2 }"),
    .input = GRISTMILL_TEXT("a column of whole numbers, and any others"),
    .output = GRISTMILL_TEXT("the same"),
    .options_schema = options_schema,
    .plan = plan,
    .open = open_stage,
    .close = close_stage,
    .process = process,
};

static const struct GristmillKind *const kinds[] = {&kind};

static const struct GristmillPlugin plugin = {
    .magic = GRISTMILL_MAGIC,
    .struct_size = sizeof(struct GristmillPlugin),
    .major = GRISTMILL_MAJOR,
    .minor = GRISTMILL_MINOR,
    .software = GRISTMILL_TEXT("{{name}} 0.1.0"),
    .kinds = kinds,
    .kind_count = sizeof kinds / sizeof *kinds,
};

const struct GristmillPlugin *gristmill_plugin(void);
const struct GristmillPlugin *gristmill_plugin(void) { return &plugin; }

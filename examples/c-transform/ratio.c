/* `ratio`: adds the quotient of two columns, in C, with nothing but gristmill.h.
 *
 *   cc -O2 -Wall -shared -fPIC -I../../framework/abi/include -o libratio.so ratio.c
 */
#include <gristmill.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- What the kind says of itself ---- */

static void options_schema(const struct GristmillWriter *out) {
  static const struct GristmillText schema = GRISTMILL_TEXT(
      "{\"type\": \"object\","
      " \"properties\": {"
      "  \"of\": {\"type\": \"string\", \"description\": \"The column that is divided.\"},"
      "  \"by\": {\"type\": \"string\", \"description\": \"The column that it is divided by.\"},"
      "  \"into\": {\"type\": \"string\", \"description\": \"The name of the quotient.\","
      "             \"default\": \"ratio\"}},"
      " \"required\": [\"of\", \"by\"],"
      " \"additionalProperties\": false}");
  out->write(out->handle, schema);
}

static void readings(const struct GristmillWriter *out) {
  static const struct GristmillText declared = GRISTMILL_TEXT(
      "[{\"name\": \"nulls\", \"measure\": \"counter\","
      "  \"help\": \"Rows without a quotient: a number is missing, or the divisor is 0.\"}]");
  out->write(out->handle, declared);
}

struct Wanted {
  struct GristmillText of, by, into;
};

static struct Wanted wanted(const struct GristmillOptions *options) {
  static const struct GristmillText of = GRISTMILL_TEXT("of"), by = GRISTMILL_TEXT("by"),
                                    into = GRISTMILL_TEXT("into"), ratio = GRISTMILL_TEXT("ratio");
  struct Wanted wanted = {{NULL, 0}, {NULL, 0}, ratio};
  options->text(options->handle, of, &wanted.of);
  options->text(options->handle, by, &wanted.by);
  options->text(options->handle, into, &wanted.into);
  return wanted;
}

/* The place of a column of float64 or int64. */
static int32_t find_number(const struct ArrowSchema *input, struct GristmillText name, const char *option,
                           int64_t *place, struct GristmillFailure *failure) {
  char message[256];
  int64_t found = gristmill_find(input, name);
  if (found < 0) {
    snprintf(message, sizeof message, "the input has no column `%.*s`", (int)name.size, name.data);
  } else {
    const char *format = input->children[found]->format;
    if (strcmp(format, "g") == 0 || strcmp(format, "l") == 0) {
      *place = found;
      return GRISTMILL_OK;
    }
    snprintf(message, sizeof message, "`%.*s` is no column of numbers", (int)name.size, name.data);
  }
  return gristmill_fail_option(failure, option, message, "an int64 or a float64 column");
}

static int32_t plan(const struct GristmillOptions *options, const struct ArrowSchema *input,
                    const struct GristmillPlan *plan, struct GristmillFailure *failure) {
  static const struct GristmillText float64 = GRISTMILL_TEXT("g");
  struct Wanted names = wanted(options);
  int64_t place;
  if (find_number(input, names.of, "of", &place, failure)) return GRISTMILL_FAILED;
  if (find_number(input, names.by, "by", &place, failure)) return GRISTMILL_FAILED;
  if (gristmill_find(input, names.into) >= 0)
    return gristmill_fail_option(failure, "into", "there is such a column already", "another name");
  plan->keep_input(plan->handle);
  plan->column(plan->handle, names.into, float64, 1);
  return GRISTMILL_OK;
}

/* ---- One worker ---- */

struct Stage {
  int64_t of, by;
  int of_is_float, by_is_float;
  const struct GristmillHost *host;
  int64_t nulls; /* The number of the reading. */
};

static int32_t open_stage(const struct GristmillOptions *options, const struct GristmillContext *context,
                          void **out, struct GristmillFailure *failure) {
  struct Wanted names = wanted(options);
  struct Stage *stage = calloc(1, sizeof *stage);
  if (!stage) return gristmill_fail(failure, GRISTMILL_ERROR_INTERNAL, "there is no memory");
  if (find_number(context->input, names.of, "of", &stage->of, failure) ||
      find_number(context->input, names.by, "by", &stage->by, failure)) {
    free(stage);
    return GRISTMILL_FAILED;
  }
  stage->of_is_float = context->input->children[stage->of]->format[0] == 'g';
  stage->by_is_float = context->input->children[stage->by]->format[0] == 'g';
  static const struct GristmillText nulls = GRISTMILL_TEXT("nulls"), no_label = {NULL, 0};
  stage->host = context->host;
  stage->nulls = gristmill_reading(stage->host, nulls, no_label);
  *out = stage;
  return GRISTMILL_OK;
}

static void close_stage(void *stage) { free(stage); }

/* ---- Batches ---- */

/* A new column of float64: one allocation with all that it needs. */
struct Column {
  const void *buffers[2];
  uint8_t *valid;
  double *values;
};

static void release_column(struct ArrowArray *array) {
  struct Column *column = array->private_data;
  free(column->valid);
  free(column->values);
  free(column);
  array->release = NULL;
}

static int new_column(struct ArrowArray *array, int64_t rows) {
  struct Column *column = calloc(1, sizeof *column);
  if (!column) return 0;
  column->valid = calloc((size_t)(rows + 7) / 8 + 1, 1);
  column->values = calloc((size_t)rows + 1, sizeof(double));
  if (!column->valid || !column->values) {
    free(column->valid);
    free(column->values);
    free(column);
    return 0;
  }
  column->buffers[0] = column->valid;
  column->buffers[1] = column->values;
  *array = (struct ArrowArray){.length = rows,
                               .n_buffers = 2,
                               .buffers = column->buffers,
                               .release = release_column,
                               .private_data = column};
  return 1;
}

/* A batch of the columns of another and one more. It owns that other, and frees all of it. */
struct Wider {
  struct ArrowArray whole;
  struct ArrowArray added;
  const void *buffers[1];
  struct ArrowArray *children[];
};

static void release_wider(struct ArrowArray *array) {
  struct Wider *wider = array->private_data;
  if (wider->added.release) wider->added.release(&wider->added);
  wider->whole.release(&wider->whole);
  free(wider);
  array->release = NULL;
}

/* Reads row i of a column of numbers; 0 if it is null. The offset of the batch counts as well. */
static int number(const struct ArrowArray *batch, int64_t place, int is_float, int64_t i, double *value) {
  const struct ArrowArray *column = batch->children[place];
  const uint8_t *valid = column->buffers[0];
  i += batch->offset + column->offset;
  if (valid && !(valid[i / 8] >> (i % 8) & 1)) return 0;
  *value = is_float ? ((const double *)column->buffers[1])[i]
                    : (double)((const int64_t *)column->buffers[1])[i];
  return 1;
}

static int32_t process(void *state, struct ArrowArray *batch, const struct GristmillOutput *out,
                       struct GristmillFailure *failure) {
  const struct Stage *stage = state;
  int64_t rows = batch->length, columns = batch->n_children;
  struct Wider *wider = calloc(1, sizeof *wider + (size_t)(columns + 1) * sizeof(struct ArrowArray *));
  /* The new column has the offset of the batch as well, so it begins with as many rows unused. */
  if (!wider || !new_column(&wider->added, batch->offset + rows)) {
    free(wider);
    batch->release(batch);
    return gristmill_fail(failure, GRISTMILL_ERROR_INTERNAL, "there is no memory");
  }
  struct Column *added = wider->added.private_data;
  int64_t nulls = batch->offset;
  for (int64_t i = 0; i < rows; i++) {
    double of, by;
    int64_t at = batch->offset + i;
    if (number(batch, stage->of, stage->of_is_float, i, &of) &&
        number(batch, stage->by, stage->by_is_float, i, &by) && by != 0) {
      added->values[at] = of / by;
      added->valid[at / 8] |= (uint8_t)(1 << (at % 8));
    } else {
      nulls++;
    }
  }
  gristmill_add(stage->host, stage->nulls, (uint64_t)(nulls - batch->offset));
  wider->added.null_count = nulls;
  wider->whole = *batch; /* Moved: */
  batch->release = NULL;
  for (int64_t i = 0; i < columns; i++) wider->children[i] = wider->whole.children[i];
  wider->children[columns] = &wider->added;
  struct ArrowArray emitted = {.length = rows,
                               .offset = wider->whole.offset,
                               .n_buffers = 1,
                               .n_children = columns + 1,
                               .buffers = wider->buffers,
                               .children = wider->children,
                               .release = release_wider,
                               .private_data = wider};
  return out->emit(out->handle, 0, &emitted, failure);
}

/* ---- The plugin ---- */

static const struct GristmillKind ratio = {
    .struct_size = sizeof(struct GristmillKind),
    .role = GRISTMILL_TRANSFORM,
    .name = GRISTMILL_TEXT("ratio"),
    .summary = GRISTMILL_TEXT("Adds the quotient of two columns."),
    .example = GRISTMILL_TEXT("type: ratio\nwith: { of: price, by: weight }"),
    .input = GRISTMILL_TEXT("two columns of numbers, and any others"),
    .output = GRISTMILL_TEXT("the same, and the quotient; null where it is divided by nothing or by 0"),
    .options_schema = options_schema,
    .plan = plan,
    .open = open_stage,
    .close = close_stage,
    .process = process,
    .readings = readings,
};

static const struct GristmillKind *const kinds[] = {&ratio};

static const struct GristmillPlugin plugin = {
    .magic = GRISTMILL_MAGIC,
    .struct_size = sizeof(struct GristmillPlugin),
    .major = GRISTMILL_MAJOR,
    .minor = GRISTMILL_MINOR,
    .software = GRISTMILL_TEXT("ratio 1.0"),
    .kinds = kinds,
    .kind_count = 1,
};

const struct GristmillPlugin *gristmill_plugin(void);
const struct GristmillPlugin *gristmill_plugin(void) { return &plugin; }

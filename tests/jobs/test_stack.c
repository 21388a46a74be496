/* The training set and what is stacked behind it: which row comes from where, under which label, and
 * that a held-out image does not come back. The data set has 60 images of 2x3 grey levels; a stored
 * set says in each of its floats which row it is. Noise is compared with the generator itself, and
 * with its law. */
#include <math.h>

#include "jobs/job.h"
#include "jobs/train/stack.h"
#include "nn/base/memory.h"
#include "tests/mpi/files.h"

const char suite_name[] = "stack";

enum { ROWS = 60, P = 6, CLASSES = 3, HELD = 13, SEED = 5, MOST = 512 };

static char dir[256];
static tdo_comm *comm;

static uint8_t level(int64_t row, int i)
{
    return (uint8_t)((row * 37 + i * 11) % 256);
}

static float attacked(int64_t row, int i)
{
    return (float)row / 64 + (float)i / 1000 - 0.25F; /* no grey levels, also outside of 0..1 */
}

static int32_t class_of(int64_t image)
{
    return (int32_t)(image * 7 % CLASSES);
}

/* ---- files ------------------------------------------------------------------------------------ */

static struct tdo_dataset_info info_of(bool u8, int64_t train, int64_t test)
{
    return (struct tdo_dataset_info){.height = 2,
                                     .width = 3,
                                     .channels = 1,
                                     .classes = CLASSES,
                                     .is_u8 = u8,
                                     .rows = {train, 0, test}};
}

/* Rows of a stored set are of images 0, skip, ... again and again. */
static void write_file(const char *name, const struct tdo_dataset_info *info, int64_t images,
                       int64_t skip)
{
    static uint8_t bytes[MOST * P];
    static float floats[MOST * P];
    static int32_t y[MOST];
    tdo_dataset_writer *w = NULL;
    for (int64_t r = 0; r < MOST; r++) {
        y[r] = class_of(r % images * skip);
        for (int i = 0; i < P; i++) {
            bytes[r * P + i] = level(r, i);
            floats[r * P + i] = info->stored ? attacked(r, i) : (float)level(r, i) / 255;
        }
    }
    const void *x = info->is_u8 ? (const void *)bytes : (const void *)floats;
    ASSERT_OK_FATAL(tdo_dataset_create(comm, files_join(dir, name), info, &w));
    for (int split = 0; split < TDO_SPLITS; split++) {
        if (files_root() && info->rows[split] > 0) {
            ASSERT_OK(tdo_dataset_write(w, (enum tdo_split)split, 0, info->rows[split], x, y));
        }
    }
    ASSERT_OK_FATAL(tdo_dataset_finish(w));
    tdo_dataset_writer_free(&w);
}

/* A stored set of `rows` rows. */
static void store(const char *name, bool u8, int64_t rows, int64_t images, int64_t skip)
{
    struct tdo_dataset_info info = info_of(u8, rows, 0);
    info.stored = true;
    write_file(name, &info, images, skip);
}

static tdo_dataset *begin(bool u8)
{
    const struct tdo_dataset_info info = info_of(u8, ROWS, 4);
    tdo_dataset *d = NULL;
    comm = runner_comm;
    files_make_dir("stack", dir);
    write_file("data.h5", &info, ROWS, 1);
    ASSERT_OK_FATAL(tdo_dataset_open(comm, files_join(dir, "data.h5"), &d));
    return d;
}

static void end(tdo_dataset **d)
{
    tdo_dataset_free(d);
    files_remove_dir(dir);
}

/* ---- stacks ----------------------------------------------------------------------------------- */

struct opened {
    tdo_config *config; /* the texts of defenses live in it */
    struct tdo_defenses defenses;
    struct tdo_holdout holdout;
    tdo_stack *stack;
    tdo_err err;
};

/* A setting with the directory for each @. */
static void set(tdo_config *c, const char *setting)
{
    char text[1024] = "";
    for (const char *at = setting; *at; at++) {
        const size_t n = strlen(text);
        snprintf(text + n, sizeof text - n, "%.*s", *at == '@' ? 255 : 1,
                 *at == '@' ? dir : at);
    }
    ASSERT_OK_FATAL(tdo_config_set(c, text));
}

/* A stack by these settings; @ in one is the directory. */
static void open_stack(const tdo_dataset *d, int64_t held, const char *const *setting,
                       struct opened *o)
{
    *o = (struct opened){.holdout = {.rows = ROWS, .held = held, .seed = SEED}};
    ASSERT_OK_FATAL(tdo_config_new(&tdo_job_schema, &o->config));
    for (int i = 0; setting[i]; i++) {
        set(o->config, setting[i]);
    }
    ASSERT_OK_FATAL(tdo_defense_read(o->config, SEED, &o->defenses));
    o->err = tdo_stack_open(comm, d, &o->defenses, &o->holdout, &o->stack);
}

static void close_stack(struct opened *o)
{
    tdo_stack_free(&o->stack);
    tdo_defense_free(&o->defenses);
    tdo_config_free(&o->config);
}

static void read_wide(const struct opened *o, const int64_t *id, int64_t n, float *x,
                      int32_t *y)
{
    const struct tdo_prefetch_source from = tdo_stack_source(o->stack);
    CU_ASSERT_EQUAL(from.row_bytes, P * (int64_t)sizeof(float));
    ASSERT_OK(from.read(from.self, 0, id, n, x, y));
}

/* How often each image is trained on, and each id at most once; returns the rows. */
static int64_t count_images(const struct opened *o, int times[ROWS])
{
    static bool seen[1 << 16];
    const int64_t rows = tdo_stack_rows(o->stack);
    memset(seen, 0, sizeof seen);
    memset(times, 0, ROWS * sizeof *times);
    for (int64_t p = 0; p < rows; p++) {
        const int64_t id = tdo_stack_id(o->stack, p), image = tdo_stack_image(o->stack, id);
        CU_ASSERT_FATAL(id >= 0 && id < 1 << 16 && image >= 0 && image < ROWS);
        CU_ASSERT_FALSE(seen[id]);
        seen[id] = true;
        times[image]++;
    }
    return rows;
}

/* Held out, or not among the rows that are taken at all. */
static bool is_held(const struct tdo_holdout *h, int64_t image)
{
    for (int64_t j = 0; j < h->rows - h->held; j++) {
        if (tdo_holdout_train(h, j) == image) {
            return false;
        }
    }
    return true;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void nothing_stacked_is_the_data_set(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    uint8_t x[2 * P];
    int32_t y[2];
    const int64_t id[] = {41, 7};
    open_stack(d, HELD, (const char *const[]){"defense=gaussian,brelu", NULL}, &o);
    ASSERT_OK_FATAL(o.err);
    CU_ASSERT_FALSE(tdo_stack_wide(o.stack));
    CU_ASSERT_EQUAL(tdo_stack_rows(o.stack), ROWS - HELD);
    for (int64_t p = 0; p < ROWS - HELD; p++) {
        CU_ASSERT_EQUAL(tdo_stack_id(o.stack, p), tdo_holdout_train(&o.holdout, p));
    }
    const struct tdo_prefetch_source from = tdo_stack_source(o.stack);
    CU_ASSERT_EQUAL_FATAL(from.row_bytes, P);
    ASSERT_OK(from.read(from.self, 0, id, 2, x, y));
    for (int i = 0; i < 2 * P; i++) {
        CU_ASSERT_EQUAL(x[i], level(id[i / P], i % P));
    }
    CU_ASSERT(y[0] == class_of(41) && y[1] == class_of(7));
    close_stack(&o);
    end(&d);
}

/* Two copies, then two attacks of a stored set; ids as stack.h draws them. */
static const char *const both[] = {"defense=gaussian,static_set", "defense.0.copies=2",
                                   "defense.0.sigma=0.1", "defense.1.file=@/set.h5", NULL};

static void every_row_comes_from_its_place(void)
{
    enum { N = 5 * ROWS };
    tdo_dataset *d = begin(true);
    struct opened o;
    static float x[N * P];
    static int32_t y[N];
    static int64_t id[N];
    store("set.h5", false, 2 * ROWS, ROWS, 1);
    open_stack(d, 0, both, &o);
    ASSERT_OK_FATAL(o.err);
    CU_ASSERT_TRUE(tdo_stack_wide(o.stack));
    CU_ASSERT_EQUAL_FATAL(tdo_stack_rows(o.stack), N);
    for (int64_t i = 0; i < N; i++) {
        id[i] = (i * 77 + 3) % N; /* all of them, in some order */
    }
    read_wide(&o, id, N, x, y);
    for (int64_t k = 0; k < N; k++) {
        CU_ASSERT_EQUAL(tdo_stack_image(o.stack, id[k]), id[k] % ROWS);
        CU_ASSERT_EQUAL(y[k], class_of(id[k] % ROWS));
        for (int i = 0; i < P; i++) {
            const float have = x[k * P + i], clean = (float)level(id[k] % ROWS, i);
            if (id[k] < ROWS) {
                CU_ASSERT_TRUE(have == clean);
            } else if (id[k] < 3 * ROWS) {
                CU_ASSERT_TRUE(have != clean && fabsf(have - clean) < 6 * 25.5F);
            } else { /* not quantised */
                CU_ASSERT_TRUE(have == attacked(id[k] - 3 * ROWS, i) * 255);
            }
        }
    }
    close_stack(&o);
    end(&d);
}

static void a_held_out_image_does_not_come_back(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    int times[ROWS];
    store("set.h5", false, 2 * ROWS, ROWS, 1);
    for (int i = 0; i < 3; i++) {
        const int64_t rows = i == 2 ? ROWS / 2 : ROWS; /* half of them, spread */
        open_stack(d, HELD, both, &o);
        o.holdout.last = i == 1;
        o.holdout.rows = rows;
        o.holdout.of = ROWS;
        tdo_stack_free(&o.stack);
        ASSERT_OK_FATAL(tdo_stack_open(comm, d, &o.defenses, &o.holdout, &o.stack));
        CU_ASSERT_EQUAL(count_images(&o, times), 5 * (rows - HELD));
        for (int64_t image = 0; image < ROWS; image++) {
            CU_ASSERT_EQUAL(times[image], is_held(&o.holdout, image) ? 0 : 5);
        }
        close_stack(&o);
    }
    end(&d);
}

static void one_attack_may_be_chosen_and_images_left_out(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    int times[ROWS];
    float x[P];
    int32_t y;
    store("set.h5", false, 3 * ROWS, ROWS, 1);
    open_stack(d, HELD,
               (const char *const[]){"defense=static_set", "defense.0.file=@/set.h5",
                                     "defense.0.row=1", "defense.0.mode=replace", NULL},
               &o);
    ASSERT_OK_FATAL(o.err);
    CU_ASSERT_EQUAL(count_images(&o, times), ROWS - HELD);
    for (int64_t p = 0; p < ROWS - HELD; p++) {
        const int64_t id = tdo_stack_id(o.stack, p), image = tdo_stack_image(o.stack, id);
        read_wide(&o, &id, 1, x, &y);
        CU_ASSERT_TRUE(x[1] == attacked(ROWS + image, 1) * 255);
        CU_ASSERT_EQUAL(y, class_of(image));
    }
    close_stack(&o);
    end(&d);
}

static void write_attack(const char *text)
{
    if (files_root()) {
        files_write(files_join(dir, "attack.json"), text, (int64_t)strlen(text));
    }
    files_meet();
}

/* craft.skip = 3, craft.max = 15: images 0, 3, ..., 42. */
static void a_part_of_the_images_is_known_by_attack_json(void)
{
    enum { SKIP = 3, IMAGES = 15 };
    tdo_dataset *d = begin(true);
    struct opened o;
    int times[ROWS];
    float x[P];
    int32_t y;
    char text[200];
    store("set.h5", false, 2 * IMAGES, IMAGES, SKIP);
    snprintf(text, sizeof text, "{\"data\": \"%016llx\", \"skip\": 3, \"images\": 15}",
             (unsigned long long)tdo_dataset_info(d)->hash);
    write_attack(text);
    open_stack(d, HELD,
               (const char *const[]){"defense=static_set", "defense.0.file=@/set.h5", NULL},
               &o);
    ASSERT_OK_FATAL(o.err);
    (void)count_images(&o, times);
    for (int64_t image = 0; image < ROWS; image++) {
        const bool there = image % SKIP == 0 && image < SKIP * IMAGES;
        CU_ASSERT_EQUAL(times[image], is_held(&o.holdout, image) ? 0 : there ? 3 : 1);
    }
    const int64_t id = ROWS + IMAGES + 4; /* second attack, its image 4 is row 12 */
    CU_ASSERT_EQUAL(tdo_stack_image(o.stack, id), 4 * SKIP);
    read_wide(&o, &id, 1, x, &y);
    CU_ASSERT_TRUE(x[2] == attacked(IMAGES + 4, 2) * 255);
    CU_ASSERT_EQUAL(y, class_of(4 * SKIP));
    close_stack(&o);
    end(&d);
}

static void units_are_those_of_the_data_set(void)
{
    tdo_dataset *d = begin(false);
    struct opened o;
    float x[3 * P];
    int32_t y[3];
    const int64_t id[] = {5, 2 * ROWS + 5, ROWS + 5};
    store("set.h5", true, ROWS, ROWS, 1);
    open_stack(d, 0,
               (const char *const[]){"defense=static_set,gaussian", "defense.0.file=@/set.h5",
                                     "defense.1.copies=1", "defense.1.sigma=0.01", NULL},
               &o);
    ASSERT_OK_FATAL(o.err);
    read_wide(&o, id, 3, x, y);
    for (int i = 0; i < P; i++) {
        const float pixel = (float)level(5, i) / 255;
        CU_ASSERT_TRUE(x[i] == pixel && x[2 * P + i] == pixel);
        CU_ASSERT_TRUE(x[P + i] != pixel && fabsf(x[P + i] - pixel) < 0.06F);
    }
    close_stack(&o);
    end(&d);
}

/* ---- pairs ------------------------------------------------------------------------------------ */

/* Three attacks in two sets; neither is quantised. */
static const char *const denoise[] = {"defense=guided_denoiser", "defense.0.loss=pixel",
                                      "defense.0.sets=@/a.h5,@/b.h5", NULL};

/* Row `id`: what the set has, beside the image that it was made of. */
static void check_pair(const struct opened *o, int64_t id)
{
    const struct tdo_prefetch_source from = tdo_stack_source(o->stack);
    const int64_t image = id % ROWS, at = id - ROWS; /* of both sets one behind the other */
    float x[2 * P];
    int32_t y = -1;
    ASSERT_OK(from.read(from.self, 0, &id, 1, x, &y));
    CU_ASSERT_EQUAL(tdo_stack_image(o->stack, id), image);
    CU_ASSERT_EQUAL(y, class_of(image));
    for (int i = 0; i < P; i++) {
        CU_ASSERT_TRUE(x[i] == attacked(at < 2 * ROWS ? at : at - 2 * ROWS, i) * 255);
        CU_ASSERT_TRUE(x[P + i] == (float)level(image, i));
    }
}

static void a_pair_is_a_row_of_a_set_beside_its_image(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    int times[ROWS];
    store("a.h5", false, 2 * ROWS, ROWS, 1);
    store("b.h5", false, ROWS, ROWS, 1);
    open_stack(d, HELD, denoise, &o);
    ASSERT_OK_FATAL(o.err);
    CU_ASSERT_TRUE(tdo_stack_pairs(o.stack));
    CU_ASSERT_TRUE(tdo_stack_wide(o.stack));
    CU_ASSERT_EQUAL(tdo_stack_source(o.stack).row_bytes, 2 * P * (int64_t)sizeof(float));
    CU_ASSERT_EQUAL(count_images(&o, times), 3 * (ROWS - HELD));
    for (int64_t p = 0; p < tdo_stack_rows(o.stack); p++) {
        const int64_t id = tdo_stack_id(o.stack, p);
        CU_ASSERT_TRUE(id >= ROWS && !is_held(&o.holdout, id % ROWS));
        check_pair(&o, id);
    }
    close_stack(&o);
    end(&d);
}

/* Many at once, out of order and over the border of a block, as they are one by one. */
static void pairs_are_the_same_however_they_are_read(void)
{
    enum { N = 2 * ROWS + 7 };
    tdo_dataset *d = begin(true);
    struct opened o;
    static float x[N * 2 * P], one[2 * P];
    static int32_t y[N], label;
    static int64_t id[N];
    store("a.h5", false, 2 * ROWS, ROWS, 1);
    store("b.h5", false, ROWS, ROWS, 1);
    open_stack(d, 0, denoise, &o);
    ASSERT_OK_FATAL(o.err);
    const struct tdo_prefetch_source from = tdo_stack_source(o.stack);
    for (int64_t i = 0; i < N; i++) {
        id[i] = ROWS + (i < 80 ? i : i * 77 % (3 * ROWS));
    }
    ASSERT_OK(from.read(from.self, 0, id, N, x, y));
    for (int64_t i = 0; i < N; i++) {
        ASSERT_OK(from.read(from.self, 0, id + i, 1, one, &label));
        CU_ASSERT_EQUAL(memcmp(one, x + i * 2 * P, sizeof one), 0);
        CU_ASSERT_EQUAL(label, y[i]);
    }
    close_stack(&o);
    end(&d);
}

static void held_out_pairs_are_all_the_others(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    int times[ROWS];
    store("a.h5", false, 2 * ROWS, ROWS, 1);
    store("b.h5", false, ROWS, ROWS, 1);
    open_stack(d, HELD, denoise, &o);
    ASSERT_OK_FATAL(o.err);
    tdo_stack_free(&o.stack);
    ASSERT_OK_FATAL(tdo_stack_open_held(comm, d, &o.defenses, &o.holdout, &o.stack));
    CU_ASSERT_EQUAL(count_images(&o, times), 3 * HELD);
    for (int64_t image = 0; image < ROWS; image++) {
        CU_ASSERT_EQUAL(times[image], is_held(&o.holdout, image) ? 3 : 0);
    }
    for (int64_t p = 0; p < tdo_stack_rows(o.stack); p++) {
        check_pair(&o, tdo_stack_id(o.stack, p));
    }
    close_stack(&o);
    end(&d);
}

/* ---- the noise of copies ---------------------------------------------------------------------- */

static void a_copy_is_the_same_whenever_it_is_read(void)
{
    tdo_dataset *d = begin(true);
    struct opened o;
    float once[P], again[3 * P], normal[P];
    int32_t y[3];
    store("set.h5", false, ROWS, ROWS, 1);
    open_stack(d, 0, both, &o);
    ASSERT_OK_FATAL(o.err);
    for (int64_t id = ROWS; id < 3 * ROWS; id++) {
        const int64_t three[] = {2, id, 3 * ROWS - 1};
        const struct tdo_stream stream = {.seed = SEED, .purpose = TDO_PURPOSE_TRAIN_NOISE};
        const struct tdo_key key = {.sample = (uint64_t)(id % ROWS),
                                    .draw = (uint32_t)(id / ROWS)};
        read_wide(&o, &id, 1, once, y);
        read_wide(&o, three, 3, again, y);
        CU_ASSERT_EQUAL(memcmp(once, again + P, sizeof once), 0);
        tdo_rng_normals(&stream, &key, 0, P, normal);
        for (int i = 0; i < P; i++) {
            const double want = (double)level(id % ROWS, i) + 25.5 * (double)normal[i];
            CU_ASSERT_TRUE(fabs((double)once[i] - want) <= 3e-5);
        }
        memcpy(again, once, sizeof once);
        tdo_comm_broadcast(comm, again, sizeof once); /* that of the root */
        CU_ASSERT_EQUAL(memcmp(once, again, sizeof once), 0);
    }
    close_stack(&o);
    end(&d);
}

/* Of many copies: mean, deviation, the largest; no two the same. */
static void check_law(const char *law, const char *clip, double least, double bound)
{
    enum { COPIES = 100, N = COPIES * ROWS };
    tdo_dataset *d = begin(true);
    struct opened o;
    static float x[N * P];
    static int32_t y[N];
    static int64_t id[N];
    double sum = 0, squares = 0, most = 0;
    bool inside = true, same = false;
    open_stack(d, 0,
               (const char *const[]){"defense=brelu,gaussian", "defense.1.copies=100",
                                     "defense.1.sigma=0.2", law, clip, NULL},
               &o);
    ASSERT_OK_FATAL(o.err);
    for (int i = 0; i < N; i++) {
        id[i] = ROWS + i;
    }
    read_wide(&o, id, N, x, y);
    for (int i = 0; i < N * P; i++) {
        const double v = ((double)x[i] - (double)level(i / P % ROWS, i % P)) / 255;
        sum += v;
        squares += v * v;
        most = fmax(most, fabs(v));
        inside = inside && x[i] >= 0 && x[i] <= 255;
    }
    for (int i = ROWS; i < N; i++) { /* the copy before of the same image */
        same = same || memcmp(x + i * P, x + (i - ROWS) * P, P * sizeof *x) == 0;
    }
    CU_ASSERT_FALSE(same);
    CU_ASSERT_EQUAL(inside, strstr(clip, "true") != NULL);
    if (!inside) { /* five deviations of both */
        CU_ASSERT_TRUE(fabs(sum / (N * P)) <= 5 * 0.2 / sqrt(N * P));
        CU_ASSERT_TRUE(fabs(squares / (N * P) / 0.04 - 1) <= 5 * sqrt(2.0 / (N * P)));
        CU_ASSERT_TRUE(most >= least && most <= bound);
    } else {
        CU_ASSERT_TRUE(squares / (N * P) < 0.9 * 0.04);
    }
    close_stack(&o);
    end(&d);
}

static void copies_follow_their_law(void)
{
    const double half = 0.2 * sqrt(3); /* of 36000 normal numbers the largest is about 4.2 */
    check_law("defense.1.noise=real", "defense.1.clip=false", 3.5 * 0.2, 6 * 0.2);
    check_law("defense.1.noise=rounded", "defense.1.clip=false", 3.5 * 0.2, 6 * 0.2);
    check_law("defense.1.noise=uniform", "defense.1.clip=false", 0.999 * half, 1.000001 * half);
    check_law("defense.1.noise=real", "defense.1.clip=true", 0, 0);
}

/* ---- refusals ---------------------------------------------------------------------------------- */

static void refuse(const tdo_dataset *d, const char *says, const char *const *setting)
{
    struct opened o;
    files_listen();
    open_stack(d, 0, setting, &o);
    const char *said = files_said();
    CU_ASSERT_EQUAL(o.err, TDO_ERR_CONFIG);
    CU_ASSERT_TRUE(files_error_says(says));
    CU_ASSERT_PTR_NULL(o.stack);
    CU_ASSERT_TRUE(files_lines(said) <= 1);
    close_stack(&o);
}

static void refuse_set(const tdo_dataset *d, const char *says)
{
    refuse(d, says,
           (const char *const[]){"defense=brelu,static_set", "defense.1.file=@/set.h5", NULL});
}

static void what_is_no_stored_set_of_the_images_is_refused(void)
{
    tdo_dataset *d = begin(true);
    struct tdo_dataset_info info = info_of(false, 0, ROWS);
    refuse(d, "defense.0.file is missing: adversarial.h5 of the job attack",
           (const char *const[]){"defense=static_set", NULL});
    refuse_set(d, "defense.1.file is not there: ");
    info.stored = true;
    write_file("set.h5", &info, ROWS, 1);
    refuse_set(d, "holds attacked test images: adversarial.h5 of the job attack with "
                  "data.split = train expected");
    info = info_of(false, ROWS, 1);
    write_file("set.h5", &info, ROWS, 1);
    refuse_set(d, "is a data set, not a stored set");
    info = info_of(false, ROWS, 0);
    info.stored = true;
    info.width = 2;
    info.height = 1;
    write_file("set.h5", &info, ROWS, 1);
    refuse_set(d, "holds images of 1x2x1 in 3 classes, data.file has 2x3x1 in 3");
    info = info_of(false, ROWS, 0);
    info.stored = true;
    info.classes = 4;
    write_file("set.h5", &info, ROWS, 1);
    refuse_set(d, "holds images of 2x3x1 in 4 classes, data.file has 2x3x1 in 3");
    store("set.h5", false, ROWS - 1, ROWS, 1);
    refuse_set(d, "holds 59 images: 60 for each of its attacks expected, or attack.json");
    store("set.h5", false, ROWS, ROWS, 2);
    refuse_set(d, "its image 1 is of class 2, image 1 of data.file is of class 1");
    store("set.h5", false, ROWS, ROWS, 1);
    refuse(d, "defense.0.row = 1: ",
           (const char *const[]){"defense=static_set", "defense.0.file=@/set.h5",
                                 "defense.0.row=1", NULL});
    write_attack("{\"data\": \"0123456789abcdef\", \"skip\": 1, \"images\": 60}");
    refuse_set(d, "was made of other data than data.file");
    end(&d);
}

static void sets_of_a_denoiser_are_checked_one_by_one(void)
{
    tdo_dataset *d = begin(true);
    store("a.h5", false, 2 * ROWS, ROWS, 1);
    refuse(d, "defense.0.sets, number 1 is not there: ", denoise);
    store("b.h5", false, ROWS - 1, ROWS, 1);
    refuse(d, "holds 59 images: 60 for each of its attacks expected", denoise);
    refuse(d, "defense.0.sets, number 1 is missing",
           (const char *const[]){"defense=guided_denoiser", "defense.0.loss=pixel",
                                 "defense.0.sets=@/a.h5,,@/b.h5", NULL});
    end(&d);
}

static void rounded_copies_of_floats_are_refused(void)
{
    tdo_dataset *d = begin(false);
    refuse(d, "rounded noise is for 8-bit images",
           (const char *const[]){"defense=gaussian", "defense.0.copies=1",
                                 "defense.0.noise=rounded", NULL});
    end(&d);
}

CU_TestInfo suite_tests[] = {
    {"with nothing stacked it is the data set, in its own type",
     nothing_stacked_is_the_data_set},
    {"every row comes from its place, with the label of its image",
     every_row_comes_from_its_place},
    {"a held-out image does not come back in a copy or an attack",
     a_held_out_image_does_not_come_back},
    {"one attack may be chosen, and the images left out",
     one_attack_may_be_chosen_and_images_left_out},
    {"a part of the images is known by attack.json",
     a_part_of_the_images_is_known_by_attack_json},
    {"units are those of the data set", units_are_those_of_the_data_set},
    {"a pair is a row of a set beside the image that it was made of",
     a_pair_is_a_row_of_a_set_beside_its_image},
    {"pairs are the same however they are read", pairs_are_the_same_however_they_are_read},
    {"held-out pairs are those that are not trained on", held_out_pairs_are_all_the_others},
    {"sets of a denoiser are checked one by one", sets_of_a_denoiser_are_checked_one_by_one},
    {"a copy is the same whenever, and on whichever rank, it is read",
     a_copy_is_the_same_whenever_it_is_read},
    {"copies follow their law, and no two are the same", copies_follow_their_law},
    {"what is no stored set of the images is refused, in one line",
     what_is_no_stored_set_of_the_images_is_refused},
    {"rounded copies of floats are refused", rounded_copies_of_floats_are_refused},
    CU_TEST_INFO_NULL,
};

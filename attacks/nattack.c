/* NAttack: it looks for a normal law whose points are misclassified, by scores alone.
 *
 *     w_j = mu + sigma e_j,   u_j = project(tanh space(w_j)),   j = 1 .. population
 *     r_j = -1/2 max(log p_y - log max_other, 0)
 *     mu = mu + lr / (population sigma) sum_j (r_j - mean) / (std + 1e-7) e_j
 *
 * (a natural evolution strategy); mu begins near the image, at 0.001 times a normal vector, and
 * every 10 iterations the point of mu itself is tried. In the published code the largest other
 * class of the first member serves the whole population; here each member has its own, as the paper
 * has it. A difference of logits is one of log-probabilities, so none are computed.
 *
 * Members are asked one after the other, for all samples at once: each has its own key of the
 * target's noise, whatever the batch.
 * Source: Li et al. 2019, algorithm 1 and section 4. */
#include <math.h>
#include <string.h>

#include "attacks/aim.h"
#include "attacks/squash.h"

static const struct tdo_option options[] = {
    TDO_ATTACK_NORM("linf|l2", "linf"),
    TDO_ATTACK_EPS("0.031"),
    TDO_ATTACK_SPACE("pixel"),
    TDO_ATTACK_INT("steps", 1, 1000000, "500", "steps",
                   "of mu, unless it comes through before"),
    TDO_ATTACK_INT("population", 2, 1000000, "300", "points", "that are tried for a step"),
    TDO_ATTACK_REAL("sigma", 1e-6, 100, "0.1", NULL, "of the population, in tanh space"),
    TDO_ATTACK_REAL("lr", 1e-9, 1000, "0.02", NULL, "length of steps"),
    TDO_ATTACK_BOOL("early", "true",
                    "stop for an image as soon as it is misclassified; false: of a random "
                    "network one draw that is wrong says little"),
    TDO_ATTACK_LABEL_ONE("true"),
    TDO_ATTACK_DRAWS("1", "probability", "step"),
    TDO_ATTACK_SOURCE,
    {0}};

enum { MEMBER_LAYER, START_LAYER };
enum { LOOK_EVERY = 10, STEPS_OF_KEYS = 1 << 24 };
static const double spread = 0.001; /* of mu, to begin with */

/* Arrays are [count,P] but for rewards. */
struct nattack {
    const struct tdo_attack_use *use;
    tdo_target *t;
    struct tdo_samples *s;
    int64_t size;
    int classes, population, steps;
    bool targeted, early;
    double sigma, rate;
    float *mu;               /* the image's place in tanh space is in it */
    float *point;            /* what is asked about */
    float *e;                /* directions of a member */
    float *w;                /* [P] scratch */
    double *weighted, *sums; /* sum_j (r_j - r_1) e_j and sum_j e_j */
    double *reward;          /* [count,population] */
};

static tdo_err check(const struct tdo_attack_use *use, const tdo_target *t)
{
    const double asked = tdo_attack_value(use, "steps", 0) *
                         (tdo_attack_value(use, "population", 0) + 1.0 / LOOK_EVERY);
    (void)t;
    if (asked >= STEPS_OF_KEYS - 2) {
        return TDO_FAIL(TDO_ERR_CONFIG,
                        "%s: %s.steps times %s.population is %.0f, and randomness has keys for "
                        "%d questions",
                        use->key, use->key, use->key, asked, STEPS_OF_KEYS);
    }
    return tdo_squash_check(use);
}

/* The point of w, in ball and box. */
static void place(struct nattack *c, const float *w, int64_t i)
{
    const struct tdo_box *box = tdo_target_box(c->t);
    float *u = c->point + i * c->size;
    tdo_squash_to(box, w, u);
    tdo_threat_project(c->use->threat.norm, c->use->threat.eps, box, c->s->x + i * c->size, u);
}

static void begin(struct nattack *c)
{
    for (int64_t i = 0; i < c->s->count; i++) {
        float *mu = c->mu + i * c->size;
        tdo_squash_from(tdo_target_box(c->t), c->s->x + i * c->size, mu);
        tdo_attack_normals(c->use, START_LAYER, c->s->id[i], 0, c->size, c->w);
        for (int64_t p = 0; p < c->size; p++) {
            mu[p] += (float)(spread * (double)c->w[p]);
        }
    }
}

/* The point of mu itself is what is found; if it comes through that may be enough. */
static tdo_err look(struct nattack *c)
{
    const int64_t P = c->size;
    struct tdo_answer answer;
    for (int64_t i = 0; i < c->s->count; i++) {
        if (!c->s->done[i]) {
            place(c, c->mu + i * P, i);
            memcpy(c->s->found + i * P, c->point + i * P, (size_t)P * sizeof *c->point);
        }
    }
    if (!c->early) {
        return TDO_OK;
    }
    TDO_TRY(tdo_target_logits(c->t, c->s, c->point, &answer));
    for (int64_t i = 0; i < c->s->count; i++) {
        if (!c->s->done[i]) {
            const float *z = answer.logits + i * c->classes;
            c->s->done[i] = tdo_target_margin(z, c->classes, c->s->aim[i], c->targeted) > 0;
        }
    }
    return TDO_OK;
}

/* The points of member j in step k. */
static void place_member(struct nattack *c, int j, int k)
{
    const int64_t P = c->size;
    for (int64_t i = 0; i < c->s->count; i++) {
        float *e = c->e + i * P;
        if (c->s->done[i]) {
            continue;
        }
        tdo_attack_normals(c->use, MEMBER_LAYER, c->s->id[i], (uint32_t)(k * c->population + j),
                           P, e);
        for (int64_t p = 0; p < P; p++) {
            c->w[p] = c->mu[i * P + p] + (float)(c->sigma * (double)e[p]);
        }
        place(c, c->w, i);
    }
}

/* Ask about member j of step k, for all samples. Rewards are added up from that of the first, so
 * that equal ones leave exactly nothing. */
static tdo_err try_member(struct nattack *c, int j, int k)
{
    const int64_t P = c->size;
    const int K = c->classes;
    struct tdo_samples *s = c->s;
    struct tdo_answer answer;
    place_member(c, j, k);
    TDO_TRY(tdo_target_logits(c->t, s, c->point, &answer));
    for (int64_t i = 0; i < s->count; i++) {
        double *reward = c->reward + i * c->population;
        if (s->done[i]) {
            continue;
        }
        const double margin =
            tdo_target_margin(answer.logits + i * K, K, s->aim[i], c->targeted);
        reward[j] = -0.5 * fmin(fmax(-margin, 0), 1000);
        for (int64_t p = i * P; p < (i + 1) * P; p++) {
            c->weighted[p] += (reward[j] - reward[0]) * (double)c->e[p];
            c->sums[p] += (double)c->e[p];
        }
    }
    return TDO_OK;
}

static void move(struct nattack *c, int64_t i)
{
    const double *reward = c->reward + i * c->population;
    const double n = c->population;
    double mean = 0, variance = 0;
    for (int j = 0; j < c->population; j++) {
        mean += (reward[j] - reward[0]) / n;
    }
    for (int j = 0; j < c->population; j++) {
        const double d = reward[j] - reward[0] - mean;
        variance += d * d / n;
    }
    const double scale = c->rate / (n * c->sigma * (sqrt(variance) + 1e-7));
    for (int64_t p = i * c->size; p < (i + 1) * c->size; p++) {
        c->mu[p] += (float)(scale * (c->weighted[p] - mean * c->sums[p]));
    }
}

static tdo_err run_step(struct nattack *c, int k)
{
    const size_t bytes = (size_t)(c->s->count * c->size) * sizeof *c->sums;
    memset(c->weighted, 0, bytes);
    memset(c->sums, 0, bytes);
    for (int j = 0; j < c->population; j++) {
        TDO_TRY(try_member(c, j, k));
    }
    for (int64_t i = 0; i < c->s->count; i++) {
        if (!c->s->done[i]) {
            move(c, i);
        }
    }
    return TDO_OK;
}

static tdo_err run_all(struct nattack *c)
{
    const enum tdo_aim aim = tdo_aim_read(c->use);
    TDO_TRY(tdo_aim_once(c->use, aim, c->t, c->s));
    begin(c);
    for (int k = 0; k < c->steps; k++) {
        if (k % LOOK_EVERY == 0) {
            TDO_TRY(look(c));
        }
        if (tdo_attack_all_done(c->s)) {
            return TDO_OK;
        }
        TDO_TRY(run_step(c, k));
    }
    return look(c);
}

static tdo_err make(struct nattack *c)
{
    const int64_t n = c->s->count, P = c->size;
    TDO_TRY(tdo_memory_new(n * P, &c->mu));
    TDO_TRY(tdo_memory_new(n * P, &c->point));
    TDO_TRY(tdo_memory_new(n * P, &c->e));
    TDO_TRY(tdo_memory_new(P, &c->w));
    TDO_TRY(tdo_memory_new(n * P, &c->weighted));
    TDO_TRY(tdo_memory_new(n * P, &c->sums));
    return tdo_memory_new(n * c->population, &c->reward);
}

static tdo_err run(const struct tdo_attack_use *use, tdo_target *t, struct tdo_samples *s)
{
    struct nattack c = {.use = use,
                        .t = t,
                        .s = s,
                        .size = tdo_target_size(t),
                        .classes = tdo_target_classes(t),
                        .population = (int)tdo_attack_value(use, "population", 300),
                        .steps = (int)tdo_attack_value(use, "steps", 500),
                        .targeted = tdo_aim_targeted(tdo_aim_read(use)),
                        .early = tdo_attack_value(use, "early", 1) != 0,
                        .sigma = tdo_attack_value(use, "sigma", 0.1),
                        .rate = tdo_attack_value(use, "lr", 0.02)};
    tdo_err err = TDO_OK;
    TDO_GOTO(make(&c));
    err = run_all(&c);
done:
    tdo_memory_free(&c.mu);
    tdo_memory_free(&c.point);
    tdo_memory_free(&c.e);
    tdo_memory_free(&c.w);
    tdo_memory_free(&c.weighted);
    tdo_memory_free(&c.sums);
    tdo_memory_free(&c.reward);
    return err;
}

const struct tdo_attack tdo_attack_nattack = {
    .name = "nattack",
    .help = "a normal law of misclassified points, found by scores alone",
    .cite = "Li et al. 2019, algorithm 1",
    .options = options,
    .needs = TDO_NEEDS_SCORES,
    .returns = TDO_RETURNS_LAST,
    .ball = true,
    .check = check,
    .run = run,
};

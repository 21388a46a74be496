/* The options vote.*. See voting.h. */
#include "jobs/voting.h"

#include <stdio.h>
#include <string.h>

/* Noise of sigma times the deviation that the input layer divides by. */
static tdo_err use_std(const struct tdo_network *n, struct tdo_noise *noise)
{
    const struct tdo_model_spec *s = &n->spec;
    if (s->inputs == 0) {
        return TDO_FAIL(TDO_ERR_CONFIG, "vote.units = std: the network's input layer has no "
                                        "model.std; vote.units = pixel expected");
    }
    noise->scales = s->inputs;
    memcpy(noise->scale, s->std, (size_t)s->inputs * sizeof *s->std);
    return TDO_OK;
}

/* Does anything in the network draw? */
static tdo_err find_draws(struct tdo_network *n, struct tdo_voting *v)
{
    const struct tdo_model_spec *s = &n->spec;
    tdo_graph *g = NULL;
    struct tdo_build *b = NULL;
    tdo_err err = TDO_OK;
    TDO_GOTO(tdo_graph_new(&g));
    TDO_GOTO(tdo_memory_new(1, &b));
    *b = tdo_network_build_context(n, g, TDO_NORM_RUNNING);
    b->keys = tdo_op_key(g, "keys", 1);
    b->noise = !v->quiet;
    (void)tdo_network_logits(
        n, b, tdo_op_input(g, "pixels", TDO_SHAPE(1, s->height, s->width, s->channels)));
    err = tdo_graph_check(g);
    for (tdo_node i = 0; err == TDO_OK && i < tdo_graph_size(g); i++) {
        v->random = v->random || tdo_graph_at(g, i)->op == &tdo_row_random;
    }
done:
    tdo_memory_free(&b);
    tdo_graph_free(&g);
    return err;
}

tdo_err tdo_voting_read(const tdo_config *c, struct tdo_network *n, struct tdo_voting *out)
{
    const double sigma = tdo_config_real(c, "vote.sigma");
    *out = (struct tdo_voting){
        .vote = {.rule = (enum tdo_vote_rule)tdo_config_choice(c, "vote.rule"),
                 .second = tdo_config_real(c, "vote.second")},
        .random = sigma > 0,
        .draws = (int)tdo_config_int(c, "vote.draws"),
        .quiet = !tdo_config_bool(c, "vote.noise"),
        .noise = {.law = TDO_NOISE_REAL,
                  .sigma = sigma,
                  .stream = {.seed = (uint32_t)tdo_config_int(c, "run.seed"),
                             .purpose = TDO_PURPOSE_ATTACK_DRAW}}};
    if (sigma > 0 && tdo_config_choice(c, "vote.units") == 1) {
        TDO_TRY(use_std(n, &out->noise));
    }
    TDO_TRY(find_draws(n, out));
    out->draws = out->random ? out->draws : 1;
    return TDO_OK;
}

void tdo_voting_describe(const struct tdo_voting *v, tdo_json *j)
{
    if (v->quiet) {
        tdo_json_set_text(j, "noise", "off");
    }
    if (!v->random) {
        return;
    }
    tdo_json_set_text(j, "rule", tdo_vote_name(v->vote.rule));
    if (v->vote.rule == TDO_VOTE_TOP_TWO) {
        tdo_json_set_real(j, "second", v->vote.second);
    }
    tdo_json_set_int(j, "draws", v->draws);
    tdo_json_set_real(j, "sigma", v->noise.sigma);
    tdo_json_set_text(j, "units", v->noise.scales ? "std" : "pixel");
    tdo_json_set_int(j, "seed", v->noise.stream.seed);
}

void tdo_voting_key(const struct tdo_voting *v, char *text, size_t size)
{
    const struct tdo_noise *noise = &v->noise;
    snprintf(text, size, "vote=%d second=%.17g draws=%d sigma=%.17g units=%d noise=%d seed=%u",
             (int)v->vote.rule, v->vote.second, v->draws, noise->sigma, noise->scales,
             !v->quiet, (unsigned)noise->stream.seed);
}

void tdo_voting_print(const struct tdo_voting *v, char *text, size_t size)
{
    if (!v->random) {
        snprintf(text, size, "without noise");
        return;
    }
    char second[32] = "";
    if (v->vote.rule == TDO_VOTE_TOP_TWO) {
        snprintf(second, sizeof second, " (%g)", v->vote.second);
    }
    snprintf(text, size, "%s%s vote of %d draws, sigma %g %s, noise layers %s",
             tdo_vote_name(v->vote.rule), second, v->draws, v->noise.sigma,
             v->noise.scales ? "std" : "pixel", v->quiet ? "off" : "on");
}

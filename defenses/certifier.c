/* The table of certifiers. See certifier.h. */
#include "defenses/certifier.h"

#include <string.h>

#define CERTIFIER(name) extern const struct tdo_certifier tdo_certifier_##name;
#include "defenses/certifiers.def"
#undef CERTIFIER

const struct tdo_certifier *const tdo_certifier_table[] = {
#define CERTIFIER(name) &tdo_certifier_##name,
#include "defenses/certifiers.def"
#undef CERTIFIER
    NULL};

const struct tdo_certifier *tdo_certifier_find(const char *name)
{
    for (int i = 0; tdo_certifier_table[i]; i++) {
        if (strcmp(tdo_certifier_table[i]->name, name) == 0) {
            return tdo_certifier_table[i];
        }
    }
    return NULL;
}

int tdo_certifier_class(const uint64_t *votes, int classes)
{
    int best = 0;
    for (int k = 1; k < classes; k++) {
        best = votes[k] > votes[best] ? k : best;
    }
    return best;
}

const char *tdo_certifier_verdict(enum tdo_verdict verdict)
{
    static const char *const word[] = {"certified", "not certified", "abstain"};
    return word[verdict];
}

/* The fixed summation tree over shards: which subtrees a rank owns whole, and how many
 * additions follow when one more node is complete. Pure arithmetic on (shards, rows); see
 * mpi_impl.h. */
#include "mpi/mpi_impl.h"

static int64_t node_first(struct tdo_tree_node n)
{
    return n.index << n.level;
}

static int64_t node_end(struct tdo_tree_node n)
{
    return (n.index + 1) << n.level;
}

/* Rows of the shards [first, end); shards beyond the last one have none. */
static bool any_rows(const struct tdo_tree *t, int64_t first, int64_t end)
{
    int64_t a = first < t->shards ? first : t->shards, b = end < t->shards ? end : t->shards;
    return t->rows * b / t->shards > t->rows * a / t->shards;
}

struct tdo_tree_node tdo_tree_root(int shards)
{
    struct tdo_tree_node root = {0, 0};
    while (node_end(root) < shards) {
        root.level++;
    }
    return root;
}

bool tdo_tree_present(const struct tdo_tree *t, struct tdo_tree_node node)
{
    return any_rows(t, node_first(node), node_end(node));
}

int tdo_tree_pieces(int shards, int size, int rank,
                    struct tdo_tree_node out[TDO_TREE_MAX_PIECES])
{
    struct tdo_range owned = tdo_shard_owned(shards, size, rank);
    if (rank == size - 1) {
        owned.end = node_end(tdo_tree_root(shards));
    }
    int n = 0;
    while (owned.first < owned.end) {
        struct tdo_tree_node node = {0, owned.first};
        while (node.index % 2 == 0 && (node.index + 2) << node.level <= owned.end) {
            node.index /= 2;
            node.level++;
        }
        out[n++] = node;
        owned.first = node_end(node);
    }
    return n;
}

int tdo_tree_merges(const struct tdo_tree *t, struct tdo_tree_node node,
                    struct tdo_tree_node top)
{
    int merges = 0;
    int64_t done = node_end(node);
    for (struct tdo_tree_node at = node; at.level < top.level;) {
        struct tdo_tree_node parent = {at.level + 1, at.index / 2};
        if (any_rows(t, done, node_end(parent))) {
            break;
        }
        merges += at.index % 2 == 1 && any_rows(t, node_first(parent), node_first(at));
        at = parent;
    }
    return merges;
}

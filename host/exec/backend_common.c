/* SPDX-License-Identifier: MIT */
#include "host/exec/backend_common.h"

const char *dd_op_name(dd_op_id id)
{
    static const char *const names[] = {
#define DD_OP(name) #name,
#include "kernels/ops.def"
#undef DD_OP
    };
    return id < DD_OP_COUNT ? names[id] : "?";
}

dd_status dd_op_call(const dd_ops *ops, const dd_exec *exec, const dd_op *op)
{
    switch (op->id) {
#define DD_OP(name)    \
    case DD_OP_##name: \
        return ops->name(exec, &op->args.name);
#include "kernels/ops.def"
#undef DD_OP
    case DD_OP_COUNT: break;
    }
    return DD_ERR_INTERNAL;
}

dd_status dd_op_refused(const dd_backend *be, const dd_op *op, dd_status st, dd_err *err)
{
    return DD_FAIL(err, DD_ERR_INTERNAL, "op %s (%s) refused its arguments on backend %s: %s", op->label,
                   dd_op_name(op->id), be->name, dd_status_text(st));
}

dd_status dd_pack_status(dd_status st, const dd_weight_desc *desc, dd_err *err)
{
    if (st == DD_OK) return DD_OK;
    if (st == DD_ERR_FORMAT) return DD_FAIL(err, st, "tensor %s holds a value that is not finite", desc->name);
    return DD_FAIL(err, st, "tensor %s [%lld,%lld] cannot be packed: %s", desc->name, (long long)desc->n,
                   (long long)desc->k, dd_status_text(st));
}

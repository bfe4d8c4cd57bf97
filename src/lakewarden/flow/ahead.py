"""Asking for memory before it is needed.

A row's turn in a loop over keys needs a dozen places all over the state. Waiting for them one by one takes longer than
everything else, so a loop looks some rows ahead, says what it will need (`fetch`), and finds it there when their turn comes.
That is for speed alone: what is fetched, in vain or not at all never changes a result.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_Untyped: TypeAlias = Any


@intrinsic  # type: ignore[untyped-decorator]  # numba ships no type information
def fetch(_: _Untyped, array: _Untyped, index: _Untyped, offset: _Untyped) -> _Untyped:
    """Begin to bring the memory `offset` bytes into `array[index]` near, for writing; any index will do.

    One instruction that waits for nothing and fails on nothing. Only in compiled functions.
    """

    def code(context: _Untyped, builder: _Untyped, signature: _Untyped, arguments: _Untyped) -> _Untyped:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        byte = ir.IntType(8).as_pointer()
        place = builder.gep(builder.bitcast(builder.gep(data, [arguments[1]]), byte), [arguments[2]])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(prefetch, [place, number(1), number(3), number(1)])
        return context.get_dummy_value()

    return types.none(array, types.intp, types.intp), code

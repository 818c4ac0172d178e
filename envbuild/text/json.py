"""JSON as the standard library reads and writes it, without importing `re`.

What the standard library's json is made of is enough for the short texts of stores and locks. The rest of it imports
`re` and `enum`, which is 5 ms of every start. Bytes, indented output and unusual types are for the whole module.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from json import dumps, loads
else:

    class _Context:
        strict = True
        object_hook = object_pairs_hook = array_hook = None
        parse_float = float
        parse_int = int
        parse_constant = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}.__getitem__
        memo = {}

    try:
        from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

        _scan = make_scanner(_Context)
        make_encoder({}, None, encode_basestring_ascii, None, ":", ",", False, False, True)
    except (ImportError, TypeError, AttributeError):  # another Python, or another version of these
        from json import dumps, loads
    else:

        def loads(text):
            """Return the value of a JSON text. Raises ValueError."""
            if isinstance(text, bytes) and text[:1] in (b"{", b"[") and text[1:2] != b"\0":  # else it may be UTF-16
                text = text.decode("utf-8", "surrogatepass")
            if isinstance(text, str):
                try:
                    value, end = _scan(text, len(text) - len(text.lstrip(" \t\n\r")))
                except (StopIteration, ValueError):
                    pass
                else:
                    if not text[end:].strip(" \t\n\r"):
                        return value
            from json import loads as explain

            return explain(text)

        def dumps(value, *, sort_keys=False, separators=(", ", ": "), ensure_ascii=True):
            """Return a value as JSON. Raises TypeError and ValueError."""
            item, key = separators
            quote = encode_basestring_ascii if ensure_ascii else encode_basestring
            return "".join(make_encoder({}, _unknown, quote, None, key, item, sort_keys, False, True)(value, 0))

        def _unknown(value):
            raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


__all__ = ["dumps", "loads"]

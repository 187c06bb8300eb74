"""What pages are compared by, in SQL: pages with the same value are the same.

A page that has nothing to compare equals only itself: one value for all of them would gather them in one task.
"""

TEXT = "array_join(transform(filter(blocks, b -> b.kind = 'text'), b -> b.text), '\n\n')"
_ADDRESSES = "array_sort(array_distinct(transform(filter(blocks, b -> b.kind = 'image'), b -> b.image_url)))"

SAME_TEXT = f"if({TEXT} = '', page_id, sha2({TEXT}, 256))"
# The set of image addresses, as OBELICS (arXiv 2306.16527) compares pages. No address has a line break in it.
SAME_IMAGES = f"if(size({_ADDRESSES}) = 0, page_id, sha2(array_join({_ADDRESSES}, '\n'), 256))"

"""One file a figure: each draws from a record, ``draw(record) -> {name: Figure}``."""

# Recipes for `just`; each works as a command by itself, too.

# What takes milliseconds a test: under a minute once it is built.
quick:
    cargo fmt --all --check
    cargo test --locked -p imd --lib -- --skip embedded_postgres
    cargo test --locked -p imctl -p imd-client -p imd-proto
    cargo test --locked -p imd-tests --test it -- documentation dependencies layout attacks::parsers send:: authorization:: sessions:: wire::

# Formatting and clippy, as they must be for a change to land.
lint:
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# Every test; `just test NAME` runs those whose path contains NAME.
test *NAME:
    cargo test --locked --workspace --no-fail-fast -- {{NAME}}

# The nodes of this version take the place of those of another revision, under load.
previous REVISION:
    .ci/previous {{REVISION}}

# All that must hold before a change lands.
ci:
    .ci/run

//! The retention floor, in SQL: the lowest seq of a timeline that the owner's limits let be seen, and
//! how far a purge may go.
//!
//! `appended_at` and `message_no` never decrease with seq. So both limits together are one binary search
//! on the primary key, about 20 probes for a million entries. The search is a recursive CTE, each row
//! of which is one step: a function over tables would hide it from the planner and take twice as long.
//! Mostly everything may be seen, so the first probe is that of the lowest seq.

/// What [`LIMITS`] selects from. The two are tables of the directory.
pub(super) const LIMITED_USERS: &str = "users u JOIN tiers t ON t.name = u.tier";

/// The columns of the limits that hold for a user: `tier`, `override`, `max_age` (seconds), `max_messages` and
/// `max_bytes`, each null where there is no such limit, and `since`, when they were changed last.
pub(super) const LIMITS: &str = "u.tier, u.override,
     CASE WHEN u.override THEN u.override_max_age ELSE t.max_age END AS max_age,
     CASE WHEN u.override THEN u.override_max_messages ELSE t.max_messages END AS max_messages,
     CASE WHEN u.override THEN u.override_max_bytes ELSE t.max_bytes END AS max_bytes,
     greatest(u.limits_changed_at, t.changed_at) AS since";

/// CTEs that make `name (owner, floor)` of a relation `bounds (owner, low, high, oldest, beyond)`: the
/// lowest seq from `low` on whose entry is of `oldest` or later and has a `message_no` above `beyond`;
/// `high` when no entry below it has. A limit that is null lets everything through. To stand behind
/// `WITH RECURSIVE`.
pub(super) fn floor_search(name: &str, bounds: &str) -> String {
    format!(
        "{name}_search (owner, low, high, middle, oldest, beyond) AS (
             SELECT owner, low, CASE WHEN oldest IS NULL AND beyond IS NULL THEN low ELSE high END,
                 low, oldest, beyond
             FROM {bounds}
             UNION ALL
             SELECT s.owner, half.low, half.high, (half.low + half.high) / 2, s.oldest, s.beyond
             FROM {name}_search s
             CROSS JOIN LATERAL (
                 SELECT EXISTS (
                     SELECT FROM entries e WHERE e.owner = s.owner AND e.seq = s.middle
                         AND (e.appended_at < s.oldest OR e.message_no <= s.beyond)
                 ) AS hidden OFFSET 0
             ) probe
             CROSS JOIN LATERAL (
                 SELECT CASE WHEN probe.hidden THEN s.middle + 1 ELSE s.low END AS low,
                     CASE WHEN probe.hidden THEN s.high ELSE s.middle END AS high
             ) half
             WHERE s.low < s.high
         ), {name} AS MATERIALIZED (
             SELECT owner, max(low) AS floor FROM {name}_search GROUP BY owner
         )"
    )
}

/// CTEs that make `timeline`: how far the timeline of `$1` reaches, in one row; none when there is no
/// such timeline. The columns are `epoch`, `last_seq`, `last_message_no`, `purged_to`, those of the
/// limits, and `floor`.
pub(super) fn timeline() -> String {
    let floor = floor_search("visible", "reach");
    format!(
        "limits AS MATERIALIZED (
             SELECT {LIMITS} FROM {LIMITED_USERS} WHERE u.user_no = $1
         ), reach AS MATERIALIZED (
             SELECT c.owner, stamp(c.epoch) AS epoch, c.last_seq, c.last_message_no, c.purged_to, c.purged_to + 1 AS low,
                 c.last_seq + 1 AS high, now() - make_interval(secs => l.max_age) AS oldest,
                 c.last_message_no - l.max_messages AS beyond
             FROM timelines c CROSS JOIN limits l WHERE c.owner = $1
         ), {floor}, timeline AS MATERIALIZED (
             SELECT r.epoch, r.last_seq, r.last_message_no, r.purged_to, l.tier, l.override, l.max_age,
                 l.max_messages, l.max_bytes, v.floor
             FROM reach r CROSS JOIN limits l CROSS JOIN visible v LIMIT 1
         )"
    )
}

/// CTEs that make `purge_floor (owner, purged_to, floor)` of the timelines that `page` selects: the
/// lowest seq that a purge has to leave. Below it is what the limits that hold now have hidden since the
/// time `hidden_before`: the floor as it was then, and nothing when the limits are younger.
pub(super) fn purge_floor(page: &str, hidden_before: &str) -> String {
    // What may be seen now could be seen then: mostly that is everything, and one probe tells.
    let floor_now = floor_search("visible", "limited");
    // Where the timeline ended then, and what the limits hid of it.
    let end_then = floor_search("ended", "hiding");
    let floor_then = floor_search("seen_then", "reach_then");
    format!(
        "page AS MATERIALIZED (
             SELECT owner, purged_to, last_seq, last_message_no FROM timelines {page}
         ), limited AS MATERIALIZED (
             SELECT page.owner, purged_to + 1 AS low, last_seq + 1 AS high, l.max_age, l.max_messages,
                 now() - make_interval(secs => l.max_age) AS oldest,
                 last_message_no - l.max_messages AS beyond
             FROM page CROSS JOIN LATERAL (
                 SELECT {LIMITS} FROM {LIMITED_USERS} WHERE u.user_no = page.owner
             ) l
             WHERE l.since <= {hidden_before}
         ), {floor_now}, hiding AS MATERIALIZED (
             SELECT owner, low, high, {hidden_before} + interval '1 microsecond' AS oldest,
                 NULL::bigint AS beyond, max_age, max_messages
             FROM limited JOIN visible USING (owner) WHERE floor > low
         ), {end_then}, reach_then AS MATERIALIZED (
             SELECT owner, low, ended.floor AS high,
                 {hidden_before} - make_interval(secs => max_age) AS oldest,
                 (SELECT message_no FROM entries e
                  WHERE e.owner = hiding.owner AND e.seq = ended.floor - 1) - max_messages AS beyond
             FROM hiding JOIN ended USING (owner)
         ), {floor_then}, purge_floor AS MATERIALIZED (
             SELECT owner, purged_to, coalesce(floor, purged_to + 1) AS floor
             FROM page LEFT JOIN seen_then USING (owner)
         )"
    )
}

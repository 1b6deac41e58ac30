-- The retention floor is a part of the statements that need it: a function over tables hides its cost
-- from the planner and takes twice as long.

DROP FUNCTION purge_floor_of(bigint, timestamptz);
DROP FUNCTION floor_under(bigint, bigint, bigint);
DROP FUNCTION first_within(bigint, bigint, bigint, timestamptz, bigint);
DROP FUNCTION limits_of(bigint);

-- With which nodes the tables go together. A node knows the migrations that it was built with. One that knows fewer than there are here
-- runs all the same if it knows those up to `works_with`: so a node of the version before can be started again while the others are
-- replaced. Who migrates writes it; it only grows.
CREATE TABLE compatibility (
    one_row    boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    works_with integer NOT NULL
);
INSERT INTO compatibility (works_with) VALUES (56);

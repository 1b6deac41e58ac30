//! Tests of imd through its public contract, on a real PostgreSQL.

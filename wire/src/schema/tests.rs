//! Tests of the schema walk.

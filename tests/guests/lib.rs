//! Nothing is shared between the guests of these tests: each file says all of itself.

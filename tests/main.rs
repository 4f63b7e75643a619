//! The whole system from outside: the real command, real components, real files, a real model, and people who err.
#![allow(unreachable_pub, reason = "nothing of a test can be reached; `pub` marks what a file gives to the others")]

mod answers;
mod approvals;
mod audit;
mod authors;
mod budgets;
mod cli;
mod denials;
mod examples;
mod greedy;
mod guests;
mod http;
mod human;
mod labels;
mod languages;
mod lies;
mod models;
mod package;
mod packages;
mod policies;
mod provider;
mod questions;
mod raises;
mod real_model;
mod refusals;
mod replay;
mod resume;
mod sentences;
mod serve;
mod stage;
mod standing;
mod storage;
mod store;
mod surface;
mod tools;
mod web;

//! callctl.
#![allow(dead_code)]
mod args;
mod failure;
mod names;
mod output;
mod pages;
mod paint;
mod steps;
mod table;
mod view;
mod watch;
mod words;

fn main() {}

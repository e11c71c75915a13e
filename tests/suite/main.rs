//! One integration binary; each file is one subject.

mod conformance;

//! What other crates can see of `noctule-topic`, checked against the rule written down in ten lines.

mod at_scale;
mod coverage;
mod filters;
mod hostile;
mod index;
mod index_cursor;
mod retained;
mod retained_cursor;
mod shares;
mod words;

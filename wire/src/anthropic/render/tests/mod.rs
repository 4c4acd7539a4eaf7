mod message;
pub(crate) mod stream;

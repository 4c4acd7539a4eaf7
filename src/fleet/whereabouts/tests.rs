//! What nodes say, as they write it.

use deadpool_redis::redis::Value;

use super::cluster::{Told, read};
use crate::config::RedisNode;

fn node(host: &str, port: u16) -> RedisNode {
    let host = host.to_owned();
    RedisNode { host, port }
}

fn text(text: &str) -> Value {
    Value::BulkString(text.as_bytes().to_vec())
}

fn said(host: Value, port: i64) -> Value {
    let id = text("e7d1eecce10fd6bb5eb35b9f99a514335d9ba9ca");
    Value::Array(vec![host, Value::Int(port), id, Value::Array(vec![])])
}

fn range(from: i64, to: i64, nodes: &[Value]) -> Value {
    let ends = [Value::Int(from), Value::Int(to)];
    Value::Array([&ends, nodes].concat())
}

#[test]
fn the_owner_of_a_slot_is_the_first_of_its_range_and_everybody_is_known() {
    let slots = Value::Array(vec![
        range(0, 99, &[said(text("a"), 1), said(text("b"), 2)]),
        range(100, 199, &[said(Value::Nil, 3), said(text("?"), 4)]),
        range(200, 300, &[said(text("a"), 1)]),
    ]);
    let nodes = [node("a", 1), node("b", 2), node("me", 3), node("me", 4)];
    for (slot, owner) in [
        (0, Some(node("a", 1))),
        (99, Some(node("a", 1))),
        (100, Some(node("me", 3))),
        (300, Some(node("a", 1))),
        (301, None),
    ] {
        let told = Told {
            owner,
            nodes: nodes.to_vec(),
        };
        assert_eq!(read(&slots, slot, "me"), told, "{slot}");
    }
}

#[test]
fn what_is_no_list_of_slots_names_nobody() {
    let nobody = Told {
        owner: None,
        nodes: Vec::new(),
    };
    for said in [
        Value::Nil,
        Value::Array(vec![Value::Int(1)]),
        Value::Array(vec![range(0, 9, &[])]),
        Value::Array(vec![range(0, 9, &[Value::Array(vec![text("a")])])]),
        Value::Array(vec![range(0, 9, &[said(text("a"), 1 << 16)])]),
    ] {
        assert_eq!(read(&said, 1, "me"), nobody, "{said:?}");
    }
}

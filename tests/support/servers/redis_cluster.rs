//! A Redis Cluster of three masters, and a replica of the one that has the gateway's keys. All end with the test.

use std::thread;
use std::time::Duration;

use tokio::time::Instant;

use super::redis::Redis;
use super::tethered::{PATIENCE, free_port};

/// Any key of the gateway's.
const KEY: &str = "{trunkline}:replicas";
/// Who has which slots.
const SLOTS: [(&str, &str); 3] = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];

/// See the module.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// The masters, then the replica.
    nodes: Vec<Redis>,
    /// Which of them has the gateway's slot at first.
    owner: usize,
}

// === impl Cluster ===

impl Cluster {
    /// Starts all of them and waits until they know each other.
    pub(crate) fn start() -> Self {
        let (buses, nodes): (Vec<_>, Vec<_>) = (0..4).map(|_| node()).unzip();
        for (node, (from, to)) in nodes.iter().zip(SLOTS) {
            let said = node.command(&["CLUSTER", "ADDSLOTSRANGE", from, to]);
            assert_eq!(said, "+OK");
        }
        for (node, bus) in nodes.iter().zip(&buses).skip(1) {
            let port = node.port().to_string();
            let said = nodes[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port, bus]);
            assert_eq!(said, "+OK");
        }
        let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", KEY]);
        let slot: u16 = slot.trim_start_matches(':').parse().expect("a slot");
        let owner = SLOTS
            .iter()
            .position(|(_, to)| slot <= to.parse().expect("a slot"))
            .expect("every slot is somebody's");
        let cluster = Self { nodes, owner };
        cluster.wait_for("everybody is known", |cluster| {
            cluster.nodes.iter().all(|node| {
                let said = node.command(&["CLUSTER", "INFO"]);
                said.contains("cluster_state:ok") && said.contains("cluster_known_nodes:4")
            })
        });
        let id = cluster.nodes[owner].command(&["CLUSTER", "MYID"]);
        let id = id.lines().last().expect("an id");
        cluster.wait_for("there is a replica", |cluster| {
            cluster.nodes[3].command(&["CLUSTER", "REPLICATE", id]) == "+OK"
        });
        cluster.wait_for("the replica follows, and all know", |cluster| {
            let role = cluster.nodes[3].command(&["ROLE"]);
            let known = cluster.nodes.iter().all(|node| {
                let said = node.command(&["CLUSTER", "NODES"]);
                said.lines()
                    .any(|line| line.contains(" slave ") || line.contains("slave"))
            });
            role.contains("connected") && known
        });
        cluster
    }

    /// All nodes but the owner, so that it must be found, and but the replica: `[{host: …, port: …}, …]`.
    pub(crate) fn some_nodes(&self) -> String {
        let others = (0..3).filter(|place| *place != self.owner);
        let nodes = others.map(|place| {
            let port = self.nodes[place].port();
            format!("{{\"host\": \"127.0.0.1\", \"port\": {port}}}")
        });
        format!("[{}]", nodes.collect::<Vec<_>>().join(", "))
    }

    /// One node, which has none of the gateway's keys.
    pub(crate) fn one_node(&self) -> String {
        let port = self.nodes[self.bystander()].port();
        format!("[{{\"host\": \"127.0.0.1\", \"port\": \"{port}\"}}]")
    }

    /// Kills that one.
    pub(crate) fn kill_that_node(&mut self) {
        let place = self.bystander();
        self.nodes[place].stop();
    }

    /// The replica has what the owner has.
    pub(crate) fn wait_for_replica(&self) {
        let said = self.nodes[self.owner].command(&["WAIT", "1", "10000"]);
        assert_eq!(said, ":1");
    }

    /// Kills the owner.
    pub(crate) fn kill_owner(&mut self) {
        self.nodes[self.owner].stop();
    }

    /// The replica takes over while the owner is well.
    pub(crate) fn hand_over(&self) {
        self.wait_for("the replica takes over", |cluster| {
            let role = cluster.nodes[3].command(&["ROLE"]);
            if role.contains("master") {
                return true;
            }
            cluster.nodes[3].command(&["CLUSTER", "FAILOVER"]);
            false
        });
    }

    fn bystander(&self) -> usize {
        usize::from(self.owner == 0)
    }

    fn wait_for(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "{what}");
            thread::park_timeout(Duration::from_millis(100));
        }
    }
}

/// A node, and where others of the cluster speak to it.
fn node() -> (String, Redis) {
    let bus = free_port().to_string();
    let arguments = ["--cluster-enabled", "yes", "--cluster-port", &bus];
    let timing = ["--cluster-node-timeout", "1500"];
    // A node that is gone without a replica is not in the way of the others.
    let coverage = ["--cluster-require-full-coverage", "no"];
    let node = Redis::one_of_several(&[&arguments[..], &timing, &coverage].concat());
    (bus, node)
}

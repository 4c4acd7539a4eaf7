//! A lane's task: connects, sends settlements in batches, renews the lease.
//!
//! Whatever is on its way when a connection is lost is not sent again, since nobody knows what arrived: slots and holds are
//! written anew with the next connection, what was spent is in the books, tokens come back by themselves.

use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::redis::RedisError;
use deadpool_redis::redis::aio::MultiplexedConnection;
use log::debug;
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::breaker::Called;
use super::lane::LaneState;
use super::scripts::RENEW;
use super::wire::{LEASE, Settlement, millis, settle};

/// Settlements of one batch: the server does nothing else meanwhile, so some hundred microseconds.
const BATCH: usize = 64;
/// Holdings of one renewal, for the same reason.
const RENEWED: usize = 256;
/// How often a lease is renewed.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Between two tries to connect.
const RECONNECT: Duration = Duration::from_millis(500);

/// Runs for as long as its event loop.
pub(super) async fn run(lane: Arc<LaneState>, mut waiting: Receiver<Settlement>) {
    loop {
        // What waited meanwhile is out of date: its costs are in the books by now.
        while let Ok(settlement) = waiting.try_recv() {
            lane.dropped(&settlement);
        }
        let connected = async {
            let mut connection = lane.server.own().await.ok()?;
            renew(&lane, &mut connection).await.ok()?;
            Some(connection)
        };
        let mut lived = Duration::ZERO;
        if let Some(connection) = connected.await {
            let began = Instant::now();
            let number = lane.connected(connection.clone());
            serve(&lane, connection, number, &mut waiting).await;
            lived = began.elapsed();
        }
        // A connection that lasted is made anew at once. A server that takes connections and fails what is asked on them would
        // cost a connection for each request.
        if lived < RECONNECT {
            sleep(RECONNECT).await;
        }
    }
}

/// Until the connection is lost.
async fn serve(
    lane: &LaneState,
    mut connection: MultiplexedConnection,
    number: u64,
    waiting: &mut Receiver<Settlement>,
) {
    let mut batch = Vec::new();
    let mut ticks = interval(RENEW_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        let done = tokio::select! {
            () = lane.lost.notified() => return,
            _ = waiting.recv_many(&mut batch, BATCH) => {
                for settlement in &batch {
                    lane.gave_back(&settlement.question);
                }
                let sent = settle(&batch, &lane.id, "")
                    .invoke_async::<u64>(&mut connection)
                    .await;
                if sent.is_ok() {
                    lane.told(&batch);
                } else {
                    for settlement in &batch {
                        lane.unsure(&settlement.question);
                    }
                }
                batch.clear();
                sent.map(drop)
            }
            _ = ticks.tick() => renew(lane, &mut connection).await,
        };
        if let Err(err) = done {
            debug!(err:% = err; "the shared limits could not be settled");
            lane.called(number, Called::Broken);
        }
    }
}

/// Renews the lease of all that is held; as it stands here, if the server has no more to say.
async fn renew(
    state: &LaneState,
    connection: &mut MultiplexedConnection,
) -> Result<(), RedisError> {
    for some in state.holdings().chunks(RENEWED) {
        // From here to the sending nobody else runs on this thread, so nothing is taken in between.
        let replace = state.is_sure();
        let mut call = RENEW.prepare_invoke();
        call.arg("").arg(&state.id).arg(millis(LEASE));
        call.arg(u8::from(replace));
        for key in some {
            let held = state.held_at(key, replace);
            call.key(key)
                .arg(held.count)
                .arg(held.amount.high)
                .arg(held.amount.low);
        }
        let renewed = call.invoke_async::<u64>(connection).await;
        if let Err(err) = renewed {
            state.not_told(some);
            return Err(err);
        }
    }
    Ok(())
}

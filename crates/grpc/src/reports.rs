//! What 5.x clients measure and report: taken in, summed over the clients, shown at `/metrics` under RocketMQ's
//! names.
//!
//! ```text
//! client ── OTLP/gRPC, each minute ──> otlp (points) ──> ledger (differences, sums) ──> exposed (/metrics)
//! ```
//! A series of each client would be too many: the client id is left out and times are summed. What a client says
//! is cumulative, so the ledger keeps what it said last and adds the difference. What consumers hold at the moment
//! is summed over those that live.
//!
//! Facts: `ClientMeterManager`, `HistogramEnum`, `GaugeEnum` of rocketmq-clients; the OpenTelemetry protocol. The
//! clients of Go and C++ speak the older OpenCensus protocol, and are told to keep what they measure.

mod exposed;
mod ledger;
mod otlp;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use parking_lot::Mutex;
use tonic::Status;

use crate::answer::Refusal;
use crate::call::Call;
use crate::limits::REPORT_REMEMBERED_MS;
use crate::proto::Code;
use crate::wire::inbound::decode;
pub(crate) use exposed::Exposed;
use ledger::{Ledger, Reporter};
pub(crate) use otlp::NotTaken;
use otlp::Points;

/// The call that reports come by.
pub(crate) const PATH: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// Languages whose clients report by another protocol, which is not spoken here.
const OTHERS: [&str; 2] = ["GO", "CPP"];

/// Whether a client of that language is told to report.
pub(crate) fn is_understood(language: &str) -> bool {
    !OTHERS.contains(&language)
}

/// All that clients have reported. Cheap to clone; all clones are the same.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports(Arc<Mutex<Ledger>>);

impl Reports {
    /// The client has said goodbye, or is silent: it holds nothing any more. Its last report may be still to come.
    pub(crate) fn left(&self, client_id: &str) {
        self.0.lock().left(client_id);
    }

    /// Forgets what clients said that have reported nothing for long.
    pub(crate) fn forget_silent(&self, now_ms: i64) {
        self.0.lock().forget_silent(now_ms);
    }
}

/// Takes a report in; answers which points of it were not taken.
pub(crate) fn take(call: &Call, message: Bytes) -> Result<ExportMetricsServiceResponse, Status> {
    let node = &call.node;
    if !node.config.client_metrics {
        return Err(Status::unimplemented("clients' metrics are not taken: grpc.client_metrics is off"));
    }
    let request: ExportMetricsServiceRequest = decode(message)?;
    let Points { points, refused } = otlp::points(request);
    let reporter = Reporter {
        client_id: &call.client_id,
        is_live: call.client.is_some(),
        known_since_ms: node.began_ms.max(node.now_ms().saturating_sub(REPORT_REMEMBERED_MS)),
        now_ms: node.monotonic_ms(),
    };
    let metrics = &node.metrics;
    let (taken, histories) = {
        let mut ledger = metrics.reports().0.lock();
        (ledger.report(&reporter, points), ledger.histories())
    };
    let refused: Vec<NotTaken> = refused.into_iter().chain(taken.refused).collect();
    metrics.reported(&refused, taken.folded, histories);
    let Some(first) = refused.first() else { return Ok(ExportMetricsServiceResponse::default()) };
    let partial_success = ExportMetricsPartialSuccess {
        rejected_data_points: i64::try_from(refused.len()).unwrap_or(i64::MAX),
        error_message: format!("the first of them: {}", first.text()),
    };
    Ok(ExportMetricsServiceResponse { partial_success: Some(partial_success) })
}

/// How a refusal is told to an exporter, which knows no codes of RocketMQ.
pub(crate) fn status(refusal: Refusal) -> Status {
    let code = match refusal.code {
        Code::Unauthorized => tonic::Code::Unauthenticated,
        Code::TooManyRequests => tonic::Code::ResourceExhausted,
        code if (40_000..50_000).contains(&i32::from(code)) => tonic::Code::InvalidArgument,
        _ => tonic::Code::Internal,
    };
    Status::new(code, refusal.message)
}

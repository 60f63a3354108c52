"""What a worker tells."""

from infra.kafka.faust_app import StageMetrics, prometheus


def test_prometheus_text() -> None:
    """Counters, a cumulative histogram, one family after the other."""
    stage = StageMetrics("decide")
    stage.handled(received=100.0, now=100.02)
    stage.handled(received=100.0, now=107.0)
    lines = prometheus([stage]).splitlines()
    assert 'zhengzhao_events_total{stage="decide"} 2' in lines
    assert 'zhengzhao_latency_seconds_bucket{stage="decide",le="0.025"} 1' in lines
    assert 'zhengzhao_latency_seconds_bucket{stage="decide",le="+Inf"} 2' in lines
    assert lines.count("# TYPE zhengzhao_latency_seconds histogram") == 1

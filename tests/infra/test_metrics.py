"""The metrics of service and workers."""

from infra.metrics import Metrics, StageMetrics


def test_figures_of_a_stage() -> None:
    """Counters that keep every digit, a cumulative histogram, gauges as they are now, the process beside them."""
    stage = StageMetrics("decide")
    stage.handled(received=100.0, now=100.02)
    stage.handled(received=100.0, now=107.0)
    stage.retries = 12_345_678
    stage.lag = lambda: 3
    door = StageMetrics("door", timed=False)
    door.outcomes["rejected"] += 1
    lines = Metrics(lambda: [door, stage], lambda: 4).text().decode().splitlines()
    for line in (
        'zhengzhao_events_total{outcome="done",stage="decide"} 2.0',
        'zhengzhao_events_total{outcome="rejected",stage="door"} 1.0',
        'zhengzhao_retries_total{stage="decide"} 1.2345678e+07',
        'zhengzhao_lag{stage="decide"} 3.0',
        'zhengzhao_healthy{stage="door"} 1.0',
        "zhengzhao_letters_open 4.0",
        'zhengzhao_latency_seconds_bucket{le="0.025",stage="decide"} 1.0',
        'zhengzhao_latency_seconds_bucket{le="+Inf",stage="decide"} 2.0',
        'zhengzhao_latency_seconds_count{stage="decide"} 2.0',
    ):
        assert line in lines
    assert 'zhengzhao_latency_seconds_count{stage="door"} 0.0' not in lines
    assert 1 == lines.count("# TYPE zhengzhao_latency_seconds histogram")
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)

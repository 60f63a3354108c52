"""The engines: shells around the stages of `processors.topology`. Here the embedded one; Kafka's in `infra.kafka`."""

//! Paho: connect, publish, subscribe, inbound queue, wake-up. Knows nothing of EnOS.

export const DEFAULT_CONFIG = '/etc/supervisor-agent/config.yaml'

// What is known of the config without reading one: the daemon keeps no more of it (settings.ts).

export const DEFAULT_CONFIG = '/etc/supervisor-agent/config.yaml'

/** What is wrong with a config file: every line names file, line, key and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

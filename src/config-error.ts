/** What is wrong with a config file: every line names file, line, key and what was expected. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
}

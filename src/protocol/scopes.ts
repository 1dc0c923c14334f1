import * as z from 'zod'

/** The six rights, weakest first. */
export const SCOPES = ['read', 'logs', 'control', 'program', 'cron', 'admin'] as const
export const Scope = z.enum(SCOPES)
export type Scope = z.infer<typeof Scope>

/** Named sets of scopes. */
export const ROLES = {
  viewer: ['read', 'logs'],
  operator: ['read', 'logs', 'control'],
  deployer: ['read', 'logs', 'control', 'program', 'cron'],
  admin: SCOPES,
} as const satisfies Record<string, readonly Scope[]>
export const Role = z.enum(['viewer', 'operator', 'deployer', 'admin'])
export type Role = z.infer<typeof Role>

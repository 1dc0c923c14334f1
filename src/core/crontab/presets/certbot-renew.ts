import * as z from 'zod'
import { executable } from './options.ts'
import { preset } from './preset.ts'
import { commandOf } from './shell.ts'

const name = () =>
  z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.@:-]{0,127}$/, 'letters, digits and _ . @ : - only, the first no sign')

export const certbotRenew = preset({
  preset: 'certbot-renew',
  title: "Renewal of Let's Encrypt certificates (certbot)",
  schedule: '17 3,15 * * *',
  options: () =>
    z.strictObject({
      certbot: executable('certbot').describe('certbot, or its full path'),
      certName: name().optional().describe('one certificate by its name; without it, all that are due'),
      reload: name()
        .optional()
        .describe('the service that takes up a new certificate, such as nginx: systemctl reload'),
    }),
  example: { reload: 'nginx' },
  build: ({ certbot, certName, reload }) => ({
    noOverlap: true,
    splayMs: 3_600_000,
    command: commandOf([
      certbot,
      'renew',
      '--quiet',
      // the entry has a delay of its own, which is the same every time
      '--no-random-sleep-on-renew',
      ...(certName === undefined ? [] : ['--cert-name', certName]),
      ...(reload === undefined ? [] : ['--deploy-hook', `systemctl reload ${reload}`]),
    ]),
  }),
  warnings: () => [
    'packages of certbot renew by themselves, by certbot.timer or /etc/cron.d/certbot: look whether that is there',
  ],
})

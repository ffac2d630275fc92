import { readFile, stat } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { identityFile, installIdentity, readPublicLine, switchIdentity } from '../../src/pair/identity.ts'
import { Folder } from '../help/folder.ts'

describe('an identity in the state', () => {
  test('is made once, for this user alone, and stays', async () => {
    await using folder = await Folder.make({})
    expect(await readPublicLine(folder.path, 'current')).toBeUndefined()
    const line = await installIdentity(folder.path, 'current')
    expect((await stat(identityFile(folder.path))).mode & 0o777).toBe(0o600)
    expect(await readPublicLine(folder.path, 'current')).toBe(line)
    await expect(installIdentity(folder.path, 'current')).rejects.toMatchObject({ code: 'identity-exists' })
    expect(await readPublicLine(folder.path, 'current')).toBe(line)
  })

  test('gives way to the next one, and is kept', async () => {
    await using folder = await Folder.make({})
    await expect(switchIdentity(folder.path)).rejects.toMatchObject({ code: 'identity-missing' })
    await installIdentity(folder.path, 'current')
    const before = await readFile(identityFile(folder.path), 'utf8')
    const next = await installIdentity(folder.path, 'next')
    expect(await switchIdentity(folder.path)).toBe(next)
    expect(await readPublicLine(folder.path, 'current')).toBe(next)
    expect(await readPublicLine(folder.path, 'next')).toBeUndefined()
    expect(await readFile(folder.at('pair/previous.pem'), 'utf8')).toBe(before)
  })

  test('that is damaged is named, and not replaced', async () => {
    await using folder = await Folder.make({})
    await installIdentity(folder.path, 'current')
    await folder.write('pair/identity.pem', 'nonsense')
    await expect(readPublicLine(folder.path, 'current')).rejects.toMatchObject({ code: 'identity-invalid' })
    await expect(installIdentity(folder.path, 'current')).rejects.toMatchObject({ code: 'identity-exists' })
    expect(await readFile(identityFile(folder.path), 'utf8')).toBe('nonsense')
  })
})

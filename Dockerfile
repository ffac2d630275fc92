# Pulseward as an image: compiled JavaScript, its runtime dependencies, and nothing else, for an ordinary user.
#
#   docker build -t pulseward .
#   docker run --read-only --cap-drop ALL --security-opt no-new-privileges --stop-timeout 40 \
#     --ulimit nofile=65536 -p 1883:1883 -p 127.0.0.1:9464:9464 \
#     -v ./etc:/etc/pulseward:ro -v pulseward:/var/lib/pulseward pulseward
#
# Without ./etc it runs on the shipped proxy.yaml. One of your own says `state: /var/lib/pulseward`, and binds metrics to
# 0.0.0.0:9464 where they are to be read from outside the container. Mount the directory, not the file: a mounted file
# cannot be replaced, and a replaced one is how a reload begins.

FROM node:26-slim AS compiled
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN npm run build

# The optional dependencies are Node itself, for machines that have an older one; this image has the right one.
FROM node:26-slim AS modules
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund

FROM node:26-slim
ENV NODE_ENV=production
WORKDIR /opt/pulseward
COPY package.json LICENSE proxy.yaml ./
COPY --from=modules /build/node_modules ./node_modules
COPY --from=compiled /build/dist ./dist
# In a container the metrics are for a Prometheus outside of it, and what is kept belongs on the volume.
RUN mkdir -p /etc/pulseward /var/lib/pulseward
RUN sed -e 's/127\.0\.0\.1:9464/0.0.0.0:9464/' -e '$a state: /var/lib/pulseward' proxy.yaml > /etc/pulseward/proxy.yaml
RUN chown 1000:1000 /var/lib/pulseward && chmod 0700 /var/lib/pulseward

USER 1000:1000
VOLUME /var/lib/pulseward
EXPOSE 1883 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9464/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]

# Not under `node --permission`: it forbids fsync, without which the local CA could be lost with the power.
# The heap: docs/adr/0007.
ENTRYPOINT ["node", "--initial-old-space-size=64", "--max-semi-space-size=1", "/opt/pulseward/dist/main.js"]
CMD ["run", "--config", "/etc/pulseward/proxy.yaml"]

{
  description = "pxbin, an LLM gateway";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { self, nixpkgs }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      forEach = make: nixpkgs.lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
    in
    {
      # `nix develop`, then `make run`: Python, make and what the tests start. Python packages come from the lock into .venv.
      devShells = forEach (pkgs: {
        default = pkgs.mkShell {
          packages = with pkgs; [ python311 gnumake git openssl chromium ];
          LD_LIBRARY_PATH = pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc.lib pkgs.zlib ];
        };
      });

      # `nix run`: the gateway, with packages that the lock pins, installed on the first start into the user's cache.
      apps = forEach (pkgs: {
        default = {
          type = "app";
          program = toString (pkgs.writeShellScript "pxbin" ''
            set -eu
            cache="''${XDG_CACHE_HOME:-$HOME/.cache}/pxbin/nix-$(${pkgs.coreutils}/bin/cksum < ${self}/requirements.txt | ${pkgs.coreutils}/bin/cut -d ' ' -f 1)"
            export LD_LIBRARY_PATH=${pkgs.lib.makeLibraryPath [ pkgs.stdenv.cc.cc.lib pkgs.zlib ]}
            if [ ! -x "$cache/bin/python" ]; then
              ${pkgs.python311}/bin/python -m venv "$cache"
              "$cache/bin/pip" install --quiet --require-hashes -r ${self}/requirements.txt
            fi
            export PXBIN_DATA_DIR="''${PXBIN_DATA_DIR:-$PWD/data}" PYTHONDONTWRITEBYTECODE=1
            exec "$cache/bin/python" ${self}/manage.py "''${@:-serve}"
          '');
        };
      });
    };
}
